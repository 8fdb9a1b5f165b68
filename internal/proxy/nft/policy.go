package nft

import "viaduct/internal/routing"

// Unserved implements proxy.PolicyLimited.
func (b *Backend) Unserved(p routing.Policy) (why string) {
	if p == routing.LeastConnections {
		return "nftables does not count the connections of an endpoint"
	}
	return ""
}

// served is the policy that the kernel uses for p: p itself, or Random for the policies that this backend does not
// have.
func served(p routing.Policy) routing.Policy {
	if p == routing.RoundRobin || p == routing.SourceHash {
		return p
	}
	return routing.Random
}
