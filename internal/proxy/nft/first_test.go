package nft_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/table"
)

func TestFirst(t *testing.T) {
	lab := proxytest.NewLab(t)
	var b *nft.Backend
	lab.In(proxytest.Node, func() (err error) {
		b, err = nft.New(nft.Options{Pods: proxytest.PodRanges()})
		return err
	})
	start := time.Now()
	if err := b.Sync(t.Context(), &table.Table{}, nil); err != nil {
		t.Fatal(err)
	}
	t.Log("base", time.Since(start))
	start = time.Now()
	if err := b.Sync(t.Context(), &table.Table{}, nil); err != nil {
		t.Fatal(err)
	}
	t.Log("again", time.Since(start))
	lab.In(proxytest.PodA, func() error {
		l, err := net.Listen("tcp", "10.244.0.2:8080")
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintln(c, c.RemoteAddr())
				c.Close()
			}
		}()
		return nil
	})
	p := table.Pool{Backends: []table.Backend{{Addr: netip.MustParseAddrPort("10.244.0.2:8080"), Weight: 1, Local: true}}}
	f := table.Frontend{Key: table.Key{Kind: table.ClusterIP, Addr: netip.MustParseAddr("10.96.0.10"), Port: 80, Proto: table.TCP}, Service: table.Name{Namespace: "a", Name: "b"}, Inside: p, Outside: p}
	tab, changed := (&table.Table{}).With(table.Entry{Service: f.Service, Frontends: []table.Frontend{f}})
	if err := b.Sync(t.Context(), tab, changed); err != nil {
		t.Fatal(err)
	}
	for _, h := range []proxytest.Host{proxytest.Node, proxytest.PodA, proxytest.PodB, proxytest.Client, proxytest.FarPod} {
		lab.Do(h, func() error {
			c, err := net.DialTimeout("tcp", "10.96.0.10:80", 2*time.Second)
			if err != nil {
				t.Error(h, err)
				return nil
			}
			s, err := bufio.NewReader(c).ReadString('\n')
			t.Log(h, s, err)
			start := time.Now()
			c, err = net.DialTimeout("tcp", "10.96.0.10:81", 2*time.Second)
			t.Log(h, "undefined port", err, time.Since(start))
			return nil
		})
	}
}
