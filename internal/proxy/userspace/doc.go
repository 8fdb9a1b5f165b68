// Package userspace is the proxy backend that needs no privilege: it listens on the Services' addresses and copies.
//
// It works for every address this host can bind: all of 127.0.0.0/8 (so cluster IPs come from a service CIDR in there),
// and whatever is set on an interface. An address that is not here, and SCTP, is an error that names it, and everything
// else is served.
//
// What a client meets when nobody may serve it: the connection is refused at once (TCP: a reset of its SYN; UDP: ICMP
// port unreachable), whether the Pool says Reject or Drop. A listener cannot ignore a SYN without hanging the client
// for two minutes, and nothing but an answer helps it. Two cases are known only after the kernel has accepted: a client
// outside the source ranges, and an endpoint that refuses when it is the last. Both are reset right after the connect.
//
// A change never closes a listener nor a connection. Connections to an endpoint that left its Pool go on until they
// end.
package userspace
