// Package takeover frees a host of what kube-proxy left on it, in all of its modes: tables of nftables, chains of
// iptables (those that nftables keeps, and the kernel's older ones), and virtual servers of IPVS with their interface
// and sets.
//
// It finds first and removes then: Find reads the host and returns what there is as a value, whose Remove makes it so.
// What is kube-proxy's is told by name (names.go) and by who leads to it (decide.go); both are pure. Nothing else on
// the host may change: not the kubelet's chains, which are called alike, and no chain that somebody else's rules lead
// to.
//
// Everything happens in the network namespace of the calling thread.
package takeover
