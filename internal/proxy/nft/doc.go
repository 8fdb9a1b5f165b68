// Package nft makes the kernel carry the connections to Services: one nftables table called "viaduct" in each address
// family, programmed over netlink. It needs CAP_NET_ADMIN and no binary of the host, and touches nothing outside its
// tables.
//
// # The shape of the table
//
// There is no chain per Service and none per endpoint. What belongs to a Service is elements of maps:
//
//	services  10.96.0.10 . tcp . 80      : 3                 how many slots it has
//	backends  10.96.0.10 . tcp . 80 . 0  : 10.244.0.7 . 8080 who is in slot 0
//
// A connection's first packet finds its number of slots, by that number one of the chains that all Services with as
// many slots share, and there draws a slot. A place with the policy round-robin or source-hash finds its chain in the map
// chains instead (classes.go). docs/decisions/0009 says why this shape, and what others cost.
//
// # Where to look
//
// schema.go lists the sets and maps, rules.go and layout.go the chains: both are data. compile.go says which elements a
// Service is (pure), slots.go who sits in which slot (pure), diff.go in which order elements are written (pure).
// encode.go and decode.go turn elements into bytes and back; package nftables makes netlink messages of them.
// skeleton.go, batch.go and read.go make the kernel equal to the layout and the elements. backend.go is what a Proxy
// sees, words.go tells the table to people.
//
// The package decides nothing about traffic: all policy has been applied in the Frontends it is given.
package nft
