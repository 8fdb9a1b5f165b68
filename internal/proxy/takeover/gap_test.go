package takeover_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/proxy/takeover"
	"viaduct/internal/routing"
)

const service = "10.96.0.10:80"

// natRules are kube-proxy's for one Service with one endpoint, as iptables-restore takes them.
const natRules = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SEP-A - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-A
-A KUBE-SVC-A -j KUBE-SEP-A
-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.0.2:8080
COMMIT
`

// Connections of kube-proxy's rules continue, no new connection fails, and the rules stay while a kube-proxy runs.
func TestWithoutAGap(t *testing.T) {
	for _, tool := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(tool, func(t *testing.T) {
			lab := proxytest.NewLab(t)
			on(t, lab, natRules, tool+"-restore", "--noflush")
			echo(t, lab)
			old := dial(t, lab)
			say(t, old, "by kube-proxy")
			failed, tried := atomic.Int64{}, atomic.Int64{}
			stopConnecting := sync.OnceFunc(connect(lab, &tried, &failed))
			defer stopConnecting()

			carry(t, lab)
			kubeProxy := running(t, lab)
			waits, finished := make(chan string, 8), make(chan error, 1)
			go func() {
				finished <- lab.Do(proxytest.Node, func() error {
					takeover.Finish(t.Context(), slog.New(warnings{waits}))
					return nil
				})
			}()
			if said := next(t, waits); !strings.Contains(said, "stay for now") {
				t.Errorf("the log while kube-proxy runs: %q", said)
			}
			if len(find(t, lab).Lines()) == 0 {
				t.Error("the rules of a running kube-proxy are removed")
			}
			kubeProxy()
			if err := <-finished; err != nil {
				t.Fatal(err)
			}
			if left := find(t, lab).Lines(); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			say(t, old, "without a rule")
			say(t, dial(t, lab), "by Viaduct")
			stopConnecting()
			if failed.Load() > 0 || tried.Load() == 0 {
				t.Errorf("%d of %d connections failed", failed.Load(), tried.Load())
			}
		})
	}
}

// echo runs an echo server on the Pod.
func echo(t *testing.T, lab *proxytest.Lab) {
	var l net.Listener
	lab.In(proxytest.PodA, func() (err error) {
		l, err = net.Listen("tcp4", "10.244.0.2:8080")
		return err
	})
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
}

func try(lab *proxytest.Lab) (conn net.Conn, err error) {
	err = lab.Do(proxytest.Client, func() error {
		conn, err = net.DialTimeout("tcp4", service, 10*time.Second)
		return err
	})
	return conn, err
}

func dial(t *testing.T, lab *proxytest.Lab) net.Conn {
	t.Helper()
	conn, err := try(lab)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func exchange(conn net.Conn, text string) error {
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, text); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != text+"\n" {
		err = fmt.Errorf("answered %q", line)
	}
	return err
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if err := exchange(conn, text); err != nil {
		t.Fatalf("a connection %s: %v", text, err)
	}
}

// connect makes one connection after another until stop is called.
func connect(lab *proxytest.Lab, tried, failed *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			tried.Add(1)
			conn, err := try(lab)
			if err == nil {
				err = exchange(conn, "new")
				_ = conn.Close()
			}
			if err != nil {
				failed.Add(1)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// carry starts Viaduct's nft backend with the same Service.
func carry(t *testing.T, lab *proxytest.Lab) {
	t.Helper()
	var b *nft.Backend
	lab.In(proxytest.Node, func() (err error) {
		b, err = nft.New(nft.Options{})
		return err
	})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	to := netip.MustParseAddrPort(service)
	pool := routing.Pool{Why: routing.All, Backends: []routing.Backend{{Addr: netip.MustParseAddrPort("10.244.0.2:8080"),
		Weight: 1, Local: true}}}
	name := routing.Name{Namespace: "default", Name: "web"}
	want, _ := (&routing.Table{}).With(routing.Entry{Service: name, Frontends: []routing.Frontend{{
		Key:     routing.Key{Kind: routing.ClusterIP, Addr: to.Addr(), Port: to.Port(), Proto: routing.TCP},
		Service: name, Inside: pool, Outside: pool, Policy: routing.Random,
	}}})
	if err := b.Sync(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
}

// running starts a process named kube-proxy on the node.
func running(t *testing.T, lab *proxytest.Lab) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, fakeKubeProxy(t), "60")
	lab.In(proxytest.Node, cmd.Start)
	return func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}
}

// warnings is a slog.Handler that sends the messages of warnings to a channel.
type warnings struct{ to chan string }

func (h warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (h warnings) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.to <- r.Message:
	default:
	}
	return nil
}
func (h warnings) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h warnings) WithGroup(string) slog.Handler      { return h }

func next(t *testing.T, messages chan string) string {
	t.Helper()
	select {
	case s := <-messages:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("no warning is logged")
		return ""
	}
}
