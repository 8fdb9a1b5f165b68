// Package allocation gives Services their ClusterIPs, node ports and health check node ports, each to one Service at a
// time, however many API servers work over one store.
//
// What is held is a record in the store, and only that: for an address an IPAddress object, whose name is the address,
// for a port an etcd key of its own. A record is made by a write that fails if there is one already, and it is removed
// only as what it was when it was last seen. So nothing here locks, nothing is kept in memory that could be wrong after
// a restart, and no two allocations meet unless they want the same number.
//
//	range.go     PURE  which numbers there are, and in which order they are tried
//	holding.go   PURE  what a Service holds
//	records.go         what a record is, and what one request does to the records
//	addresses.go       the records of addresses
//	ports.go           the records of ports
//	allocator.go       a free number, or the one asked for
//	transaction.go     what one create or update claims: all of it is kept, or none
//	cidrs.go     PURE  which ranges the ServiceCIDR objects offer
//	keeper.go          makes, judges and ends those objects
//	examine.go   PURE  what is wrong with the records
//	repair.go, cure.go find it and put it right
//	events.go          tells people
//
// A record is always made before the Service that needs it is written, and removed after the Service that had it was:
// whoever dies in between leaves a record that nobody needs, never a Service without its record. The repair pass finds
// such leaks.
//
// The package must not validate Services, nor know how requests reach it.
package allocation
