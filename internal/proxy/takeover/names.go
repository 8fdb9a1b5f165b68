package takeover

import (
	"slices"
	"strings"
)

const (
	nftablesTable  = "kube-proxy"        // kube-proxy's own table in nftables mode, families ip and ip6
	ipvsLink       = "kube-ipvs0"        // the interface that holds the Services' addresses in IPVS mode
	setPrefix      = "KUBE-"             // of the ipsets of IPVS mode; no other part of Kubernetes makes ipsets
	nodePortSets   = "KUBE-NODE-PORT-"   // prefix of the ipsets that list node ports, for IPv4
	nodePortSets6  = "KUBE-6-NODE-PORT-" // the same for IPv6
	markChain      = "KUBE-MARK-MASQ"    // marks packets to be masqueraded
	masqueradeEnd  = "KUBE-POSTROUTING"  // masquerades marked packets
	forwardAccepts = "KUBE-FORWARD"      // accepts connections to Services that the policy of FORWARD would drop
)

// isKubeProxyChain reports whether kube-proxy makes an iptables chain of this name. The kubelet makes KUBE-FIREWALL,
// KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, and until v1.27 KUBE-MARK-DROP.
func isKubeProxyChain(name string) bool {
	switch name {
	case markChain, masqueradeEnd, "KUBE-PROXY-CANARY", "KUBE-LOAD-BALANCER", "KUBE-SOURCE-RANGES-FIREWALL":
		return true
	}
	hasPrefix := func(p string) bool { return strings.HasPrefix(name, p) }
	return isEntry(name) || slices.ContainsFunc([]string{
		"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-", // the parts of a Service
		"KUBE-XLB-", // the name of KUBE-EXT- until v1.23
	}, hasPrefix)
}

// isEntry reports whether kube-proxy's rules in base chains lead to this chain. A rule of a base chain that leads to
// another chain of kube-proxy belongs to another program.
func isEntry(name string) bool {
	switch name {
	case "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", forwardAccepts, "KUBE-PROXY-FIREWALL", masqueradeEnd:
		return true
	case "KUBE-NODE-PORT", "KUBE-IPVS-FILTER", "KUBE-IPVS-OUT-FILTER": // IPVS mode
		return true
	}
	return false
}
