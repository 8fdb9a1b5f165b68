// Package nftables reads and changes the kernel's nf_tables over netlink. It needs CAP_NET_ADMIN in the user namespace
// that owns the network namespace, and Linux 5.6 or later.
//
// A [Table] makes messages, such as [Table.AddChain], and [Conn.Commit] sends a list of them as one transaction: all
// take effect at once, or none does. A refused transaction names every message that the kernel refuses, with its errno
// ([CommitError]). [Exprs] writes the expressions of rules. The methods of Conn that list ([Conn.Chains], [Conn.Rules],
// [Conn.Elements]) read the kernel's state, and a [Monitor] waits for changes that other sockets make.
//
// The names of constants and attributes are those of the kernel's include/uapi/linux/netfilter/nf_tables.h; those that
// golang.org/x/sys/unix has are taken from there. Names of data types, such as ipv4_addr, are those of the program nft.
//
// The package covers what Viaduct uses and is no general binding. It knows no Services and no Pods.
package nftables
