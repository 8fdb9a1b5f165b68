package nft

import "viaduct/internal/routing"

// Unserved implements proxy.PolicyLimited.
func (b *Backend) Unserved(p routing.Policy) (why string) {
	switch p {
	case routing.LeastConnections:
		return "nftables does not count the connections of an endpoint"
	case routing.RoundRobin, routing.SourceHash:
		return "the nftables rules draw at random"
	case routing.Random:
	}
	return ""
}
