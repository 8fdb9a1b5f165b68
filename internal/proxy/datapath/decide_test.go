package datapath

import (
	"net/netip"
	"testing"

	"viaduct/internal/routing"
)

func TestDecide(t *testing.T) {
	table := func(addr string) *routing.Table {
		name := routing.Name{Namespace: "default", Name: "web"}
		made, _ := (&routing.Table{}).With(routing.Entry{Service: name, Frontends: []routing.Frontend{{Service: name,
			Key: routing.Key{Kind: routing.ClusterIP, Addr: netip.MustParseAddr(addr), Port: 80, Proto: routing.TCP}}}})
		return made
	}
	empty, loopback, other := &routing.Table{}, table("127.96.0.10"), table("10.96.0.10")
	for _, c := range []struct {
		mode  string
		table *routing.Table
		want  choice
	}{
		{Auto, empty, undecided},
		{Auto, loopback, userspaceLoopback},
		{Auto, other, kernel},
		{NFT, empty, kernel},
		{NFT, loopback, kernel},
		{NFT, other, kernel},
		{Userspace, empty, userspaceLoopback},
		{Userspace, loopback, userspaceLoopback},
		{Userspace, other, userspaceOnly},
	} {
		if got := decide(c.mode, c.table); got != c.want {
			t.Errorf("mode %s: got %d, want %d", c.mode, got, c.want)
		}
	}
}
