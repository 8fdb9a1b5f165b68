// Package proxy keeps this host's data path equal to the Services and EndpointSlices of the API.
//
// Proxy watches; whatever changes, it builds the Frontends of that one Service anew (package table), compares them with
// what it had, and hands the whole table with the names that differ to a Backend. It decides nothing about traffic:
// that is table's; and touches nothing of the host: that is the Backend's. What a Backend could not serve becomes an
// Event on the Service.
package proxy
