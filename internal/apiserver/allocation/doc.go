// Package allocation gives Services their ClusterIPs, node ports and health check node ports, each to one Service at a
// time, however many API servers work over one store.
//
// A record in the store names the holder of a number, and nothing else does. The record of an address is an IPAddress
// object, whose name is the address. The record of a port is an etcd key of its own. A record is created by a write
// that fails if the record exists, and is removed only in the version that was read. So the package takes no locks,
// keeps no state in memory that a restart could make wrong, and two allocations conflict only if they want the same
// number.
//
//	range.go     PURE  which numbers a range has, and in which order they are tried
//	holding.go   PURE  what a Service holds
//	records.go         what a record is, and what one request does to the records
//	addresses.go       the records of addresses
//	ports.go           the records of ports
//	allocator.go       a free number, or a requested one
//	transaction.go     what one create or update claims: all of it is kept, or none
//	cidrs.go     PURE  which ranges the ServiceCIDR objects offer
//	keeper.go          creates, judges and releases ServiceCIDR objects
//	audit.go     PURE  which records are wrong
//	repair.go          finds wrong records; repair_records.go corrects them
//	events.go          Warning events
//
// A record is created before the Service that needs it is written, and removed after the Service that held it was
// written. A server that dies in between leaves a record that no Service needs, never a Service without its record. The
// repair pass finds such leaks.
//
// The package must not validate Services, and it must not know how requests reach it.
package allocation
