package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"viaduct/internal/echo"
)

func TestCheckFair(t *testing.T) {
	for _, c := range []struct {
		what string
		c    counts
		want int
		why  string
	}{
		{"even", counts{"a": 100, "b": 100}, 2, ""},
		{"uneven but fair", counts{"a": 130, "b": 70}, 2, ""},
		{"one gets too little", counts{"a": 160, "b": 40}, 2, "b answered 40 of 200"},
		{"one is missing", counts{"a": 200}, 2, "1 servers answered, want 2"},
		{"one too many", counts{"a": 1, "b": 1, "c": 1}, 2, "3 servers answered"},
		{"no server", counts{}, 2, "0 servers answered"},
	} {
		err := c.c.checkFair(c.want)
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", c.what, err, c.why)
		}
	}
}

func TestCountsTable(t *testing.T) {
	rows := counts{"web-2 127.0.0.3:8080": 1, "web-1 127.0.0.2:8080": 3}.table()
	want := []string{
		fmt.Sprintf("%-32s %6d  %4.1f %%  %s", "web-1 127.0.0.2:8080", 3, 75.0, strings.Repeat("▪", 30)),
		fmt.Sprintf("%-32s %6d  %4.1f %%  %s", "web-2 127.0.0.3:8080", 1, 25.0, strings.Repeat("▪", 10)),
	}
	if strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

func TestManyCountsEveryServer(t *testing.T) {
	s := runEcho(t, echo.Options{Name: "web-1"})
	addr := s.Addr().String()
	got, err := newRequester().many(t.Context(), "http://"+addr+"/", 50)
	if err != nil || len(got) != 1 || got["web-1 "+addr] != 50 {
		t.Errorf("got %v, %v, want 50 of web-1", got, err)
	}
}

func TestManyReturnsTheFailure(t *testing.T) {
	s := runEcho(t, echo.Options{Name: "web-1", Unready: true})
	_, err := newRequester().many(t.Context(), "http://"+s.Addr().String()+"/healthz", 50)
	if err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusServiceUnavailable)) {
		t.Errorf("got %v, want the 503", err)
	}
}

func TestUntilAvoided(t *testing.T) {
	s := runEcho(t, echo.Options{Name: "web-1"})
	changed := make(chan struct{})
	close(changed)
	url := "http://" + s.Addr().String() + "/"
	log := newRequester().untilAvoided(t.Context(), url, "web-2", changed)
	if log.err != nil || log.total != avoidedRequests || !log.last.IsZero() {
		t.Errorf("%+v, want %d requests that all avoided web-2", log, avoidedRequests)
	}
}

func TestExternalServersShareAPort(t *testing.T) {
	taken := runEcho(t, echo.Options{})
	busy := taken.Addr().(*net.TCPAddr).AddrPort().Port()
	servers, port, err := externalServers(busy)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range servers {
		if want := fmt.Sprintf("127.0.0.%d:%d", i+1, port); s.Addr().String() != want {
			t.Errorf("server %d listens on %s, want %s", i, s.Addr(), want)
		}
		s.Close()
	}
	if port == busy || len(servers) != 2 {
		t.Errorf("%d servers on port %d, want 2 on another than %d", len(servers), port, busy)
	}
}

func TestQuickstartManifestsTakeThePort(t *testing.T) {
	all, err := quickstartManifests(12345)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("%d files, want 3", len(all))
	}
	var text bytes.Buffer
	for _, m := range all {
		io.Copy(&text, m.Text)
	}
	if strings.Contains(text.String(), "9101") || strings.Count(text.String(), "12345") != 2 {
		t.Errorf("the port was not replaced in both places:\n%s", &text)
	}
}

func TestMutedWriter(t *testing.T) {
	var out bytes.Buffer
	m := &mutedWriter{to: &out}
	io.WriteString(m, "before\n")
	m.on.Store(true)
	io.WriteString(m, "after\n")
	if out.String() != "after\n" {
		t.Errorf("got %q, want only what came after", out.String())
	}
}

// runEcho serves HTTP on a free port until the test ends.
func runEcho(t *testing.T, o echo.Options) *echo.Server {
	t.Helper()
	o.HTTP = "127.0.0.1:0"
	s, err := echo.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}
