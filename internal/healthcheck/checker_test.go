package healthcheck

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/prober"
)

// patience bounds what should take a fraction of it.
const patience = 20 * time.Second

// change is a call of Options.Changed.
type change struct {
	owners []types.NamespacedName
	target Target
	status Status
}

func run(t *testing.T) (*Checker, chan change) {
	t.Helper()
	changes := make(chan change, 100)
	c := New(Options{Changed: func(owners []types.NamespacedName, target Target, status Status) {
		changes <- change{owners, target, status}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, changes
}

func next(t *testing.T, changes chan change) change {
	t.Helper()
	select {
	case n := <-changes:
		return n
	case <-time.After(patience):
		t.Fatal("no change was reported")
		return change{}
	}
}

func listen(t *testing.T, address string) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener), netip.MustParseAddrPort(l.Addr().String())
}

func TestChecker(t *testing.T) {
	c, changes := run(t)
	l, at := listen(t, "127.0.0.1:0")
	target := Target{at, parse(t, "tcp interval=100ms")}
	a, b := types.NamespacedName{Name: "a"}, types.NamespacedName{Name: "b"}
	c.SetTargets(a, map[Target]bool{target: true})
	c.SetTargets(b, map[Target]bool{target: false}) // ignored: the target has an owner
	if n := next(t, changes); !n.status.Up || !n.status.Since.IsZero() {
		t.Errorf("of the first result it reports %+v", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	n := next(t, changes)
	if n.status.Up || len(n.owners) != 2 || n.target != target || n.status.Cause != "connection refused" {
		t.Errorf("reported %+v", n)
	}
	listen(t, at.String())
	if n = next(t, changes); !n.status.Up || n.status.Cause != "" {
		t.Errorf("reported %+v", n)
	}
	c.SetTargets(a, nil)
	if s, ok := c.Status(target); !ok || !s.Up || !s.Known {
		t.Errorf("while b is an owner: %+v, %v", s, ok)
	}
	c.SetTargets(b, map[Target]bool{})
	if _, known := c.Status(target); known || c.poller.Len() > 0 {
		t.Errorf("without an owner: known %v, %d targets", known, c.poller.Len())
	}
}

// A target begins in the state that SetTargets gives, which may be that of an earlier process. A result that confirms
// it is no change.
func TestFirstState(t *testing.T) {
	c, changes := run(t)
	l, dead := listen(t, "127.0.0.1:0")
	_, alive := listen(t, "127.0.0.1:0")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check := parse(t, "tcp interval=100ms")
	down, up, found := Target{dead, check}, Target{alive, check}, Target{alive, parse(t, "tcp interval=101ms")}
	c.SetTargets(types.NamespacedName{}, map[Target]bool{down: false, up: true, found: false})
	for range 3 { // two are confirmed, one changes
		if n := next(t, changes); n.target == found != !n.status.Since.IsZero() || n.status.Up != (n.target != down) {
			t.Errorf("reported %+v, want a change only of the target that began as down and answers", n)
		}
	}
	if s, _ := c.Status(down); s.Up || !s.Since.IsZero() {
		t.Errorf("the target that does not answer: %+v", s)
	}
}

// A first bad result below the fall threshold confirms nothing: the owner hears of the result that does.
func TestFirstResultBelowThreshold(t *testing.T) {
	c, changes := run(t)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	target := Target{netip.MustParseAddrPort(server.Listener.Addr().String()),
		parse(t, "http:///health interval=100ms fall=2")}
	c.SetTargets(types.NamespacedName{}, map[Target]bool{target: true})
	if s, _ := c.Status(target); s.Known {
		t.Errorf("before any result: %+v", s)
	}
	if n := next(t, changes); !n.status.Up || !n.status.Known || !n.status.Since.IsZero() || asked.Load() < 2 {
		t.Errorf("reported %+v after %d probes", n, asked.Load())
	}
}

func ask(t *testing.T, target Target) prober.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), target.Check.Timeout)
	defer cancel()
	answer, later := newProbes().of(target)()
	if later != nil {
		answer = later(ctx)
	}
	return answer
}

func TestHTTP(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/host":
			if r.Host != "shop.example" {
				w.WriteHeader(http.StatusNotFound)
			}
		case "/away":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := fmt.Fprintln(w, strings.Repeat("x", 1<<16)); err != nil {
					return
				}
			}
		case "/silent":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	plain, secure := httptest.NewServer(http.HandlerFunc(answer)), httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(func() { plain.CloseClientConnections(); plain.Close(); secure.CloseClientConnections(); secure.Close() })
	for _, tt := range []struct{ check, says string }{
		{"http://shop.example/host", ""},
		{"http:///host", "HTTP status 404, want 200-399"},
		{"http:/// status=503", ""},
		{"http:///", "HTTP status 503"},
		{"http:///away", ""},
		{"http:///away status=200", "HTTP status 302"},
		{"http:///endless", ""}, // its head is an answer
		{"http:///silent timeout=50ms", "no answer within 50ms"},
		{"https://shop.example/host", ""},
		{"https://shop.example/host tls-name=example.com", "certificate"}, // of an unknown authority
	} {
		check := parse(t, tt.check)
		server := plain
		if strings.HasPrefix(tt.check, "https") {
			server = secure
		}
		got := ask(t, Target{netip.MustParseAddrPort(server.Listener.Addr().String()), check})
		if (got.Verdict == prober.Good) != (tt.says == "") || !strings.Contains(got.Output, tt.says) {
			t.Errorf("%s: %+v, want %q", tt.check, got, tt.says)
		}
	}
}

// A server that sends its head byte by byte, without end, does not hold a probe longer than its timeout.
func TestHTTPEndlessHead(t *testing.T) {
	l, at := listen(t, "127.0.0.1:0")
	go func() {
		conn, err := l.Accept()
		for err == nil {
			_, err = conn.Write([]byte("H"))
		}
	}()
	if got := ask(t, Target{at, parse(t, "http:/// timeout=200ms")}); got.Verdict != prober.Bad {
		t.Errorf("%+v", got)
	}
}

func TestDNS(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg)
		if reply.SetReply(query); query.Question[0].Name != "here.example." {
			reply.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(reply)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	at := netip.MustParseAddrPort(pc.LocalAddr().String())
	_, silent := listen(t, "127.0.0.1:0") // TCP only
	for _, tt := range []struct {
		at          netip.AddrPort
		check, says string
	}{
		{at, "dns", ""}, {at, "dns name=here.example", ""}, {at, "dns name=gone.example", "NXDOMAIN for gone.example"},
		{silent, "dns", "connection refused"},
	} {
		if got := ask(t, Target{tt.at, parse(t, tt.check)}); (got.Verdict == prober.Good) != (tt.says == "") ||
			!strings.Contains(got.Output, tt.says) {
			t.Errorf("%s: %+v, want %q", tt.check, got, tt.says)
		}
	}
}

func TestGRPC(t *testing.T) {
	_, at := listen(t, "127.0.0.1:0")
	if got := ask(t, Target{at, parse(t, "grpc timeout=50ms")}); got.Verdict != prober.Bad ||
		got.Output != "no answer within 50ms" {
		t.Errorf("a server that says nothing: %+v", got)
	}
}

// The interval grows so that all targets together stay within the Rate. Confirmations are not delayed.
func TestRate(t *testing.T) {
	c := New(Options{Rate: 10})
	check := parse(t, "tcp")
	targets := map[Target]bool{}
	for i := range 100 {
		targets[Target{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), 1), check}] = true
	}
	c.SetTargets(types.NamespacedName{}, targets)
	began := time.Now()
	for _, tt := range []struct {
		results     string
		least, most time.Duration
	}{{"+", 9500 * time.Millisecond, 10 * time.Second}, {"+-", 190 * time.Millisecond, 200 * time.Millisecond}} {
		s := state{flap: newFlapState(true)}
		var due time.Time
		for _, r := range tt.results {
			answer := prober.Answer{Output: "refused"}
			if r == '+' {
				answer = prober.Answer{Verdict: prober.Good}
			}
			due, _ = c.update(Target{Check: check}, answer, began)(&s)
		}
		if wait := due.Sub(began); wait < tt.least || wait > tt.most {
			t.Errorf("after %s the next probe is due after %v, want %v to %v", tt.results, wait, tt.least, tt.most)
		}
	}
}
