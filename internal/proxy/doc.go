// Package proxy keeps this host's data path equal to the Services and EndpointSlices of the API.
//
// Proxy watches the API. When a Service or one of its EndpointSlices changes, Proxy builds the Frontends of that
// Service again (package routing) and compares them with the previous ones. It hands the whole table, with the names of
// the Services that differ, to a Backend. Package routing decides about traffic. The Backend changes the host. Proxy
// does neither. When a Backend cannot serve something, Proxy writes an Event on the Service.
package proxy
