// Package userspace is the proxy backend that needs no privilege: it listens on the addresses of Services and copies
// the data between clients and endpoints.
//
// It works for every address that this host can bind: all of 127.0.0.0/8 (so the service CIDR of the cluster IPs lies
// in it), and the addresses of the interfaces. For an address that is not on this host, and for SCTP, Sync returns an
// error that names the Frontend; all other Frontends are served.
//
// If no endpoint may serve a client, the connection is refused at once (TCP: a reset as the answer to the SYN; UDP:
// ICMP port unreachable). This is the same for the actions Reject and Drop: a listener that ignored a SYN would make
// the client wait for two minutes, and the client learns nothing from the wait. Two cases are known only after the
// kernel has accepted the connection: the client is outside the source ranges, or the last endpoint refuses. Both
// connections are reset right after the accept.
//
// A change of the pool closes no TCP connection. Connections to an endpoint that left the pool continue until they end.
// On Linux, the TCP port stays bound too, even while the pool is empty.
package userspace
