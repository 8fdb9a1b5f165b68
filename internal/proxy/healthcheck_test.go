package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"viaduct/internal/routing"
)

func TestHealthCheckServer(t *testing.T) {
	healthy := true
	h := newHealthChecks(func() bool { return healthy })
	t.Cleanup(h.close)
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	name := routing.Name{Namespace: "shop", Name: "web"}
	port := freePort(t)
	check := func(n int) *routing.HealthCheck { return &routing.HealthCheck{Service: name, Port: port, Local: n} }
	get := func() (int, string, http.Header, error) {
		resp, err := http.Get("http://" + netip.AddrPortFrom(local[0], port).String() + "/any/path")
		if err != nil {
			return 0, "", nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), resp.Header, err
	}
	for _, c := range []struct {
		endpoints int
		healthy   bool
		code      int
		body      string
	}{
		{2, true, 200, "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": " +
			"\"web\"\n\t},\n\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}"},
		{2, false, 503, "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": " +
			"\"web\"\n\t},\n\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": false\n}"},
		{0, true, 503, "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": " +
			"\"web\"\n\t},\n\t\"localEndpoints\": 0,\n\t\"serviceProxyHealthy\": true\n}"},
	} {
		healthy = c.healthy
		if err := h.apply(name, check(c.endpoints), local); err != nil {
			t.Fatal(err)
		}
		code, body, header, err := get()
		if code != c.code || body != c.body || err != nil {
			t.Errorf("%d endpoints: %d %q, %v; want %d %q", c.endpoints, code, body, err, c.code, c.body)
		}
		weight := string('0' + byte(c.endpoints))
		if header.Get("Content-Type") != "application/json" || header.Get("X-Content-Type-Options") != "nosniff" ||
			header.Get("X-Load-Balancing-Endpoint-Weight") != weight {
			t.Errorf("headers: %v", header)
		}
	}
	if err := h.apply(name, nil, local); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := get(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a check that is no more: %v", err)
	}
	thief, err := net.Listen("tcp", netip.AddrPortFrom(local[0], port).String())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.apply(name, check(1), local); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := errors.Join(thief.Close(), h.apply(name, check(1), local)); err != nil {
		t.Errorf("a port that is free again: %v", err)
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// A change that waits for a minute makes the proxy unhealthy, whether nobody took it up or its application failed;
// applied, it is well.
func TestHealth(t *testing.T) {
	var h health
	state := func(after time.Duration) bool { healthy, _ := h.state(time.Now().Add(after)); return healthy }
	if !state(time.Hour) {
		t.Error("unhealthy with nothing to do")
	}
	h.change()
	if !state(0) || state(behindTime) {
		t.Error("a change that nobody takes up")
	}
	h.begin()
	if !state(0) || state(behindTime) {
		t.Error("a change whose application goes on, or failed")
	}
	h.change()
	h.begin()
	h.done()
	if !state(time.Hour) {
		t.Error("unhealthy though all was applied")
	}
	h.begin()
	h.change()
	h.done()
	if state(behindTime) {
		t.Error("a change that came during an application counts as applied")
	}
}
