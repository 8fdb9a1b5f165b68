// Package takeover removes what kube-proxy left on a host, in each of its modes: nftables tables, chains of iptables
// (iptables-nft and iptables-legacy), and IPVS virtual servers with their interface and ipsets.
//
// [Find] reads the host and changes nothing. It returns a value, and [Leftovers.Remove] removes what the value lists.
// The package recognises kube-proxy's chains by their names (names.go) and by the rules that lead to them (decide.go);
// both files are pure. Nothing else on the host changes: the kubelet's chains, which have similar names, stay, and so
// does every chain that rules of other programs lead to.
//
// All functions work in the network namespace of the calling thread.
package takeover
