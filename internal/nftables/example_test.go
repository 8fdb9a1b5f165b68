package nftables_test

import (
	"fmt"
	"log"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
)

// A table with a chain that drops what goes to port 9, and its rules as the kernel lists them. It needs CAP_NET_ADMIN.
func Example() {
	conn, err := nftables.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	table := nftables.Table{Family: nftables.IPv4, Name: "example"}
	e := nftables.Exprs{Family: table.Family}
	e.DestPort(0)
	e.CompareUint16(0, unix.NFT_CMP_EQ, 9)
	e.Drop()
	err = conn.Commit([]nftables.Message{
		table.Add(),
		table.AddChain(nftables.Chain{Name: "output",
			Hook: &nftables.Hook{Type: "filter", Number: unix.NF_INET_LOCAL_OUT}}),
		table.AddRule(nftables.Rule{Chain: "output", Comment: "no discard", Exprs: e.Attrs}),
	})
	if err != nil {
		log.Fatal(err) // a CommitError says which message the kernel refuses, and why
	}
	rules, err := conn.Rules(table)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range rules {
		fmt.Println(r.Chain, r.Handle, r.Comment)
	}
}

func ExampleAttributes() {
	var a nftables.Attrs
	a.Text(unix.NFTA_TABLE_NAME, "example")
	a.Uint32(unix.NFTA_TABLE_FLAGS, 1)
	for kind, value := range nftables.Attributes(a) {
		fmt.Println(kind, value)
	}
	// Output:
	// 1 [101 120 97 109 112 108 101 0]
	// 2 [0 0 0 1]
}

// An error of Commit names each message that the kernel refuses.
func ExampleCommitError() {
	err := nftables.CommitError{{Index: 3, Errno: unix.ENOENT}, {Index: 5, Errno: unix.EEXIST}}
	for _, one := range err {
		fmt.Println(one.Index, one.Errno)
	}
	// Output:
	// 3 no such file or directory
	// 5 file exists
}
