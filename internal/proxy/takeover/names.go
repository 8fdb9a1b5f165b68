package takeover

import (
	"slices"
	"strings"
)

const (
	nftablesTable  = "kube-proxy"      // kube-proxy's own table in nftables mode, families ip and ip6
	ipvsLink       = "kube-ipvs0"      // the interface that holds the Services' addresses in IPVS mode
	setPrefix      = "KUBE-"           // of the ipsets of IPVS mode; nobody else of Kubernetes has any
	nodePortSets   = "KUBE-NODE-PORT-" // of those, the ones that list node ports, for IPv4
	nodePortSets6  = "KUBE-6-NODE-PORT-"
	markChain      = "KUBE-MARK-MASQ"   // marks what is to be masqueraded
	masqueradeEnd  = "KUBE-POSTROUTING" // masquerades what is marked
	forwardAccepts = "KUBE-FORWARD"     // lets connections to Services pass a FORWARD chain that drops
)

// isKubeProxyChain reports whether a chain of iptables is kube-proxy's. The kubelet's are not: KUBE-FIREWALL,
// KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, and KUBE-MARK-DROP, which it made until v1.27.
func isKubeProxyChain(name string) bool {
	switch name {
	case markChain, masqueradeEnd, "KUBE-PROXY-CANARY", "KUBE-LOAD-BALANCER", "KUBE-SOURCE-RANGES-FIREWALL":
		return true
	}
	hasPrefix := func(p string) bool { return strings.HasPrefix(name, p) }
	return isEntry(name) || slices.ContainsFunc([]string{
		"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-", // the parts of a Service
		"KUBE-XLB-", // what KUBE-EXT- was called until v1.23
	}, hasPrefix)
}

// isEntry reports whether a chain is one that kube-proxy leads to from the kernel's own chains. A rule there that leads
// to another of its chains is somebody else's.
func isEntry(name string) bool {
	switch name {
	case "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", forwardAccepts, "KUBE-PROXY-FIREWALL", masqueradeEnd:
		return true
	case "KUBE-NODE-PORT", "KUBE-IPVS-FILTER", "KUBE-IPVS-OUT-FILTER": // IPVS mode
		return true
	}
	return false
}
