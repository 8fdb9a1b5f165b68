package nft_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

func TestWords(t *testing.T) {
	lab := proxytest.NewLab(t)
	b := open(t, lab)
	f := routing.Frontend{Key: routing.Key{Kind: routing.ClusterIP, Addr: netip.MustParseAddr("10.96.0.1"), Port: 80,
		Proto: routing.TCP},
		Service: routing.Name{Namespace: "shop", Name: "web", Port: "http"}, Inside: pool(false, 2), Outside: pool(false, 2)}
	g, h := f, f
	g.Key = routing.Key{Kind: routing.LoadBalancer, Addr: netip.MustParseAddr("203.0.113.1"), Port: 80, Proto: routing.TCP}
	g.Outside = routing.Pool{Empty: routing.Drop, Why: routing.NoneLocal}
	g.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")}
	g.Affinity = 3 * time.Hour
	h.Service = routing.Name{Namespace: "shop", Name: "dns"}
	h.Key = routing.Key{Kind: routing.ClusterIP, Addr: netip.MustParseAddr("fd00:96::1"), Port: 53, Proto: routing.UDP}
	h.Inside, h.Outside = routing.Pool{Empty: routing.Reject}, routing.Pool{Empty: routing.Reject}
	k := f
	k.Port, k.Inside.Backends = 81, []routing.Backend{f.Inside.Backends[0], f.Inside.Backends[1]}
	k.Inside.Backends[0].Weight = 3
	k.Outside = k.Inside
	sync(t, b, with(routing.Entry{Service: routing.Name{Namespace: "shop", Name: "web"}, Frontends: []routing.Frontend{f,
		k, g}},
		routing.Entry{Service: h.Service, Frontends: []routing.Frontend{h}}), nil)
	for _, c := range []struct {
		filter []string
		want   string
	}{
		{nil, `tables ip viaduct, ip6 viaduct: 4 places; Pods of this node: 10.244.0.0/24, fd00:244::/64
shop/dns
  [fd00:96::1]:53/UDP          refused: nobody serves
shop/web:http
  10.96.0.1:80/TCP             to 10.244.0.2:8080, 10.244.0.3:8080
  10.96.0.1:81/TCP             to 10.244.0.2:8080 (3 of 4), 10.244.0.3:8080 (1 of 4)
  203.0.113.1:80/TCP           to 10.244.0.2:8080, 10.244.0.3:8080
    from elsewhere             dropped: whoever serves is on another node
    only from                  192.0.2.0/24, 198.51.100.0/24
    a client stays             for 3h0m0s; 0 are remembered
`},
		{[]string{"dns"}, "shop/dns\n  [fd00:96::1]:53/UDP          refused: nobody serves\n"},
		{[]string{"10.96.0.1:81"}, "shop/web:http\n  10.96.0.1:81/TCP             to 10.244.0.2:8080 (3 of 4), " +
			"10.244.0.3:8080 (1 of 4)\n"},
	} {
		var got strings.Builder
		lab.In(proxytest.Node, func() error {
			d, err := nft.Describe()
			if err != nil {
				return err
			}
			return d.Write(&got, c.filter)
		})
		if got.String() != c.want {
			t.Errorf("%v:\n%s\nwant\n%s", c.filter, got.String(), c.want)
		}
	}
}
