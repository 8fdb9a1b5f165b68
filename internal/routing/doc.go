// Package routing computes what one node does with the traffic of every Service, and why.
//
// Frontends converts a Service and its EndpointSlices into Frontends: the addresses and ports that clients connect to.
// All policy is applied here: the endpoints that serve a connection, the action without endpoints, and the clients that
// may connect. A Table holds the Frontends of all Services. If two Services claim one address, the Table decides the
// owner. Lookup is the specification for all proxy backends: the tests compare each backend with it.
//
// The package is pure: it reads no clock, draws no random number, writes no log and does not change the host. The same
// input gives the same value, in whatever order the input arrived.
package routing
