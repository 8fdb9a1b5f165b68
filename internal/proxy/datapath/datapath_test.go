package datapath

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/nftables"
	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

func TestDryRun(t *testing.T) {
	lab := proxytest.NewLab(t)
	lab.In(proxytest.Node, addKubeProxyTable)
	api := fake.NewClientset(&v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: v1.ServiceSpec{
			Type: v1.ServiceTypeClusterIP, ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"},
			IPFamilies: []v1.IPFamily{v1.IPv4Protocol},
			Ports:      []v1.ServicePort{{Port: 80, Protocol: v1.ProtocolTCP}},
		},
	})
	var out bytes.Buffer
	log := slog.New(slog.DiscardHandler)
	p := proxy.New(api, proxy.Options{NodeName: "here", Backend: New(Options{Mode: Auto, Log: log}), Log: log})
	table, err := p.Preview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lab.In(proxytest.Node, func() error { return DryRun(t.Context(), &out, table, true) })
	want := `This is a dry run: nothing is changed.

What the kernel would carry for Viaduct:
  tables               would be made
  Services             1
  addresses and ports  1, of which 1 would be new and 0 would get other endpoints; 0 existing ones would go
  without endpoints    1

What kube-proxy left, and what would be removed once Viaduct carries those connections:
  nftables table ip kube-proxy: 1 chain, with all that is in it
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	if n := countTables(lab); n != 1 {
		t.Errorf("there are %d tables after a dry run", n)
	}
	for _, a := range api.Actions() {
		if verb := a.GetVerb(); verb != "list" && verb != "watch" {
			t.Errorf("a dry run sent the API a request to %s %s", verb, a.GetResource().Resource)
		}
	}
}

// kube-proxy's rules stay until Viaduct carries all Services.
func TestTakeOverWaitsForTheLastService(t *testing.T) {
	lab := proxytest.NewLab(t)
	lab.In(proxytest.Node, addKubeProxyTable)
	path := New(Options{Mode: NFT, Log: slog.New(slog.DiscardHandler)})
	takeOver := NewTakeOver(path)
	lab.In(proxytest.Node, func() error { return path.Sync(t.Context(), &routing.Table{}, nil) })
	defer func() { _ = path.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- lab.Do(proxytest.Node, func() error { return takeOver.Run(ctx) }) }()

	path.complete = false
	takeOver.Applied(nil)
	if n := countTables(lab); n != 3 { // of which two are Viaduct's
		t.Errorf("there are %d tables while a Service is not carried", n)
	}
	path.complete = true
	takeOver.Applied(nil)
	deadline := time.Now().Add(30 * time.Second)
	for ; countTables(lab) != 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	if n := countTables(lab); n != 2 {
		t.Errorf("there are %d tables after the take-over", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func addKubeProxyTable() error {
	conn, err := nftables.Open()
	if err != nil {
		return err
	}
	t := nftables.Table{Family: nftables.IPv4, Name: "kube-proxy"}
	err = conn.Commit([]nftables.Message{t.Add(), t.AddChain(nftables.Chain{Name: "services"})})
	return errors.Join(err, conn.Close())
}

// countTables counts the nftables tables of the lab's node, in both IP families.
func countTables(lab *proxytest.Lab) (n int) {
	lab.In(proxytest.Node, func() error {
		conn, err := nftables.Open()
		if err != nil {
			return err
		}
		for _, family := range []nftables.Family{nftables.IPv4, nftables.IPv6} {
			list, e := conn.Tables(family)
			n, err = n+len(list), errors.Join(err, e)
		}
		return errors.Join(err, conn.Close())
	})
	return n
}

func TestCompare(t *testing.T) {
	lab := proxytest.NewLab(t)
	path := New(Options{Mode: NFT, Log: slog.New(slog.DiscardHandler)})
	defer func() { _ = path.Close() }()
	apply := func(t2 *routing.Table) {
		lab.In(proxytest.Node, func() error { return path.Sync(t.Context(), t2, nil) })
	}
	now := func(want *routing.Table) (c difference) {
		lab.In(proxytest.Node, func() error {
			d, err := nft.Describe()
			c = compare(want.All(), d.Places)
			return err
		})
		return c
	}
	place := func(last byte, backends int) routing.Entry {
		var inside routing.Pool
		for i := range backends {
			inside.Backends = append(inside.Backends,
				routing.Backend{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, 1, byte(i + 2)}), 8080), Weight: 1})
		}
		inside.Empty = routing.Reject
		name := routing.Name{Namespace: "default", Name: fmt.Sprint("web-", last)}
		return routing.Entry{Service: name, Frontends: []routing.Frontend{{
			Key: routing.Key{Kind: routing.ClusterIP, Addr: netip.AddrFrom4([4]byte{10, 96, 0, last}), Port: 80,
				Proto: routing.TCP},
			Service: name, Inside: inside, Outside: routing.Pool{Empty: routing.Drop}, Policy: routing.Random,
		}}}
	}
	first, _ := (&routing.Table{}).With(place(1, 1), place(2, 70), place(3, 0))
	if got := now(first); got != (difference{added: 3}) {
		t.Errorf("on an empty host: %+v", got)
	}
	apply(first)
	if got := now(first); got != (difference{}) {
		t.Errorf("nothing differs: %+v", got)
	}
	second, _ := (&routing.Table{}).With(place(1, 1), place(2, 69), place(4, 1))
	if got := now(second); got != (difference{added: 1, changed: 1, removed: 1}) {
		t.Errorf("one of each: %+v", got)
	}
}
