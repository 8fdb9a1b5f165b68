// Package membership says who is behind a Service, and why, and how that is spelled in Endpoints and in EndpointSlices.
//
// Membership is decided once, by Judge, and becomes a list of Members; Subsets and PlanSlices are two spellings of that
// one list. Their differences are visible in subsets.go (terminating Pods, one family, at most 1000 addresses) and
// slices.go (packing).
//
// The package is pure: it reads no clock and no socket, writes and logs nothing, and the same input gives the same
// output whatever the order in which it comes.
package membership
