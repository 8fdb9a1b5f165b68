// Package membership decides which addresses are behind a Service, and why, and writes that as Endpoints and
// EndpointSlices.
//
// Judge decides membership once. The result is a list of Members, and Subsets and PlanSlices write this one list in two
// formats. The differences between the formats are in subsets.go (terminating Pods, one family, at most 1000 addresses)
// and in slices.go (packing).
//
// The package is pure: it reads no clock and no socket, and it writes and logs nothing. The same input gives the same
// output, whatever the order of the input.
package membership
