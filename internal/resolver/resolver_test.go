package resolver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/types"
)

// patience bounds what should take a fraction of it.
const patience = 20 * time.Second

// zone replies with records in the form of a zone file, and with NXDOMAIN to queries without any.
type zone map[string][]string // "name TYPE" → records

func (z zone) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	q := query.Question[0]
	records, ok := z[strings.TrimSuffix(q.Name, ".")+" "+dns.TypeToString[q.Qtype]]
	reply := new(dns.Msg)
	reply.SetReply(query)
	if !ok {
		reply.Rcode = dns.RcodeNameError
	}
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			panic(err)
		}
		reply.Answer = append(reply.Answer, rr)
	}
	if w.RemoteAddr().Network() == "udp" {
		reply.Truncate(udpSize)
	}
	_ = w.WriteMsg(reply) // the client may have given up
}

// serve runs h by UDP and TCP on one loopback port until the test ends.
func serve(t *testing.T, h dns.Handler) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Skipf("the port that was free for UDP is not for TCP: %v", err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return pc.LocalAddr().String()
}

func resolver(t *testing.T, opts Options, servers ...string) *Resolver {
	t.Helper()
	opts.Servers = servers
	if opts.Hosts == "" {
		opts.Hosts = filepath.Join(t.TempDir(), "none")
	}
	return New(opts)
}

func spell(addrs []netip.AddrPort) string {
	var words []string
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

func TestLookup(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("# mine\n10.9.0.1 Here.example alias # and\nfd00::9 here.example\nbroken line\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	at := serve(t, zone{
		"both.example A":     {"both.example. 30 A 10.0.0.2", "both.example. 60 A 10.0.0.1"},
		"both.example AAAA":  {"both.example. 20 AAAA fd00::1"},
		"four.example A":     {"four.example. 30 A 10.0.0.4"},
		"four.example AAAA":  {},
		"empty.example A":    {},
		"empty.example AAAA": {},
		"alias.example A":    {"alias.example. 5 CNAME both.example.", "both.example. 60 A 10.0.0.1"},
		"alias.example AAAA": {"alias.example. 5 CNAME both.example."},
		"round.example A":    {"round.example. 5 CNAME trip.example."},
		"trip.example A":     {"trip.example. 5 CNAME round.example."},
		"liar.example A":     {"bank.example. 60 A 10.6.6.6", "both.example. 60 A 10.6.6.6"},
		"case.example A":     {"CASE.example. 60 A 10.0.0.5"},
		"_pg._tcp.example SRV": {"_pg._tcp.example. 7 SRV 0 0 5432 both.example.",
			"_pg._tcp.example. 9 SRV 0 0 5433 four.example."},
		"_none._tcp.example SRV": {"_none._tcp.example. 7 SRV 0 0 0 ."},
		"_half._tcp.example SRV": {"_half._tcp.example. 7 SRV 0 0 1 both.example.",
			"_half._tcp.example. 7 SRV 0 0 1 gone.example."},
		"_other._tcp.example SRV": {"_pg._tcp.example. 7 SRV 0 0 1 both.example."},
	})
	for _, tt := range []struct {
		name  Name
		addrs string
		ttl   time.Duration
		says  string
	}{
		{Name{Host: "both.example", Port: 80}, "10.0.0.1:80 10.0.0.2:80 [fd00::1]:80", 20 * time.Second, ""},
		{Name{Host: "four.example", Port: 80}, "10.0.0.4:80", 30 * time.Second, ""},
		{Name{Host: "alias.example"}, "10.0.0.1:0 [fd00::1]:0", 5 * time.Second, ""},
		{Name{Host: "case.example"}, "10.0.0.5:0", time.Minute, ""},
		{Name{Host: "here.example", Port: 1}, "10.9.0.1:1 [fd00::9]:1", 0, ""},
		{Name{Host: "alias", Port: 1}, "10.9.0.1:1", 0, ""},
		{Name{Host: "gone.example"}, "", 0, "there is no such name"},
		{Name{Host: "empty.example"}, "", 0, "there is no such name"},
		{Name{Host: "round.example"}, "", 0, "aliases in a row"},
		{Name{Host: "liar.example"}, "", 0, "there is no such name"},
		{Name{Host: "_pg._tcp.example", SRV: true}, "10.0.0.1:5432 10.0.0.2:5432 10.0.0.4:5433 [fd00::1]:5432",
			7 * time.Second, ""},
		{Name{Host: "_none._tcp.example", SRV: true}, "", 0, "no such SRV record"},
		{Name{Host: "_half._tcp.example", SRV: true}, "", 0, "gone.example."},
		{Name{Host: "_other._tcp.example", SRV: true}, "", 0, "no such SRV record"},
	} {
		found, err := resolver(t, Options{Hosts: hosts}, at).newLookup().name(t.Context(), tt.name)
		if got := spell(found.merged(nil)); got != tt.addrs || tt.addrs != "" && found.ttl != tt.ttl {
			t.Errorf("%s: %s for %v, want %s for %v", tt.name.Host, got, found.ttl, tt.addrs, tt.ttl)
		}
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", tt.name.Host, err, tt.says)
		}
	}
}

// A thousand records fit in no datagram: they come by TCP. Those within the limit are used, the same ones each time.
func TestManyRecords(t *testing.T) {
	var records []string
	for i := range 1000 {
		records = append(records, fmt.Sprintf("many.example. 60 A 10.1.%d.%d", i/250, i%250))
	}
	at := serve(t, zone{"many.example A": records, "many.example AAAA": {}})
	for limit, want := range map[int]int{0: 1000, 300: 300} {
		answer := await(t, resolver(t, Options{Limit: limit}, at), Name{Host: "many.example"},
			func(a Answer) bool { return a.Err == "" })
		if len(answer.Addrs) != want || answer.Dropped != 1000-want || answer.Addrs[0].String() != "10.1.0.0:0" {
			t.Errorf("limit %d: %d addresses, the first %v, %d dropped", limit, len(answer.Addrs), answer.Addrs[0],
				answer.Dropped)
		}
	}
}

// await runs r until the answer of name is right.
func await(t *testing.T, r *Resolver, name Name, right func(Answer) bool) Answer {
	t.Helper()
	changes := make(chan types.NamespacedName, 100)
	r.opts.Changed = func(owner types.NamespacedName) { changes <- owner }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	me := types.NamespacedName{Namespace: "shop", Name: "db"}
	r.SetNames(me, []Name{name})
	for {
		select {
		case owner := <-changes:
			if a, ok := r.Answer(name); ok && owner == me && right(a) {
				return a
			}
		case <-ctx.Done():
			a, ok := r.Answer(name)
			t.Fatalf("the answer stays %+v, %v", a, ok)
		}
	}
}

// The last good answer is kept while the servers fail, and Err says how they fail.
func TestLastGoodAnswer(t *testing.T) {
	const name = "db.example"
	good := zone{name + " A": {name + ". 0 A 10.0.0.1"}, name + " AAAA": {}}
	for way, bad := range map[string]dns.HandlerFunc{
		"SERVFAIL": func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		},
		"no such name": func(w dns.ResponseWriter, q *dns.Msg) {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError))
		},
		"does not answer": func(dns.ResponseWriter, *dns.Msg) {},
		"another question": func(w dns.ResponseWriter, q *dns.Msg) {
			other := q.Copy()
			other.Question[0].Name = "bank.example."
			reply := new(dns.Msg)
			reply.SetReply(other)
			_ = w.WriteMsg(reply)
		},
		"asking the name server": func(w dns.ResponseWriter, _ *dns.Msg) {
			_,
				_ = w.Write([]byte("rubbish that is no message at all"))
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var failing atomic.Bool
			at := serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
				if failing.Load() {
					bad(w, q)
					return
				}
				good.ServeDNS(w, q)
			}))
			r := resolver(t, Options{MinTTL: 50 * time.Millisecond, MaxTTL: 200 * time.Millisecond}, at)
			first := await(t, r, Name{Host: name}, func(a Answer) bool { return a.Err == "" })
			failing.Store(true)
			a := await(t, r, Name{Host: name}, func(a Answer) bool { return a.Err != "" })
			if !strings.Contains(a.Err, way) || spell(a.Addrs) != "10.0.0.1:0" || !a.Good.Equal(first.Good) {
				t.Errorf("while it fails: %+v", a)
			}
			failing.Store(false)
			if a = await(t, r, Name{Host: name}, func(a Answer) bool { return a.Err == "" }); !a.Good.After(first.Good) {
				t.Errorf("after it failed: %+v", a)
			}
		})
	}
}

// The addresses of a family without a reply stay as they were.
func TestOneFamilySilent(t *testing.T) {
	last := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.9:1"), netip.MustParseAddrPort("[fd00::9]:1")}
	f := found{addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1")}, silent: map[uint16]bool{dns.TypeAAAA: true}}
	if got := spell(f.merged(last)); got != "10.0.0.1:1 [fd00::9]:1" {
		t.Errorf("merged to %s", got)
	}
}

func TestPause(t *testing.T) {
	r := resolver(t, Options{MinTTL: 10 * time.Second, MaxTTL: 100 * time.Second}, "x")
	s := &state{}
	for _, tt := range []struct {
		ttl           time.Duration
		err           error
		least, atMost time.Duration
	}{
		{0, nil, 9 * time.Second, 10 * time.Second},
		{time.Minute, nil, 54 * time.Second, time.Minute},
		{24 * time.Hour, nil, 90 * time.Second, 100 * time.Second},
		{0, errNoName, time.Second, time.Second},
		{0, errNoName, 2 * time.Second, 2 * time.Second},
		{time.Minute, nil, 54 * time.Second, time.Minute}, // an answer ends the failures
		{0, errNoName, time.Second, time.Second},
	} {
		if got := r.pause(s, found{ttl: tt.ttl}, tt.err); got < tt.least || got > tt.atMost {
			t.Errorf("ttl %v, %v: waits %v, want %v to %v", tt.ttl, tt.err, got, tt.least, tt.atMost)
		}
	}
	for range 40 {
		r.pause(s, found{}, errNoName)
	}
	if got := r.pause(s, found{}, errNoName); got != 50*time.Second {
		t.Errorf("after many failures it waits %v", got)
	}
}

// A name with several owners is resolved once, and reported to all of them.
func TestOwners(t *testing.T) {
	r := resolver(t, Options{}, "x")
	a, b := Name{Host: "a.example"}, Name{Host: "b.example"}
	one, two := types.NamespacedName{Name: "one"}, types.NamespacedName{Name: "two"}
	r.SetNames(one, []Name{a, b})
	r.SetNames(two, []Name{a, a})
	if n := r.poller.Len(); n != 2 {
		t.Errorf("%d names, want 2", n)
	}
	r.SetNames(one, []Name{b})
	r.SetNames(two, nil)
	if _, ok := r.poller.State(b); !ok || r.poller.Len() != 1 {
		t.Errorf("%d names are left, b among them: %v", r.poller.Len(), ok)
	}
}
