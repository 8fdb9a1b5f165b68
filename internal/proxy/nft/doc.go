// Package nft is the proxy backend that programs nftables: the kernel redirects the connections to Services. There is
// one table called "viaduct" in each address family, programmed over netlink. The package needs CAP_NET_ADMIN and no
// binary of the host. It changes nothing outside its tables.
//
// # The shape of the table
//
// There is no chain per Service and none per endpoint. A Service is a group of elements in maps:
//
//	services  10.96.0.10 . tcp . 80      : 3                 the number of slots
//	backends  10.96.0.10 . tcp . 80 . 0  : 10.244.0.7 . 8080 the backend in slot 0
//
// The first packet of a connection reads the number of slots of its destination. The number leads to a chain that all
// Services with the same number of slots share. The chain draws a slot. For the policies round-robin and source-hash,
// the map chains leads to the chain instead (classes.go). docs/decisions/0009 explains this design and the cost of
// others.
//
// A place, here and in the other files, is an address and port of a Service.
//
// # Where to look
//
// schema.go lists the sets and maps. rules.go and layout.go list the chains. All of these are data. compile.go computes
// the elements of a Service, slots.go assigns backends to slots, and diff.go orders the writes: these three are pure
// functions. encode.go and decode.go convert elements to bytes and back; package nftables makes netlink messages of
// them. skeleton.go, batch.go and read.go make the kernel equal to the layout and the elements. backend.go implements
// proxy.Backend. words.go prints the table for people.
//
// The package decides nothing about traffic: package routing has already applied all policy to the Frontends.
package nft
