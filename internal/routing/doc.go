// Package routing says what one node does with the traffic of every Service, and why.
//
// Frontends turns a Service and its EndpointSlices into the places clients connect to, with all policy applied: which
// endpoints serve a connection, what happens when there are none, who may connect. A Table holds the Frontends of all
// Services and settles which of two Services owns an address that both claim. Lookup is the specification every proxy
// backend is tested against.
//
// The package is pure: it reads no clock, draws no random number, logs nothing and touches no host. The same input
// gives the same value, whatever the order in which the input came.
package routing
