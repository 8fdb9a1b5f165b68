package echo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// runEcho serves on free ports until the test ends. The test fails if Run returns an error.
func runEcho(t *testing.T, o Options) *Server {
	t.Helper()
	o.HTTP, o.TCP, o.UDP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	s, err := New(o)
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

func fetch(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAnswerNamesTheServer(t *testing.T) {
	s := runEcho(t, Options{Name: "web-1"})
	code, body := fetch(t, "GET", fmt.Sprintf("http://%s/some/path?q=1", s.http.Addr()))
	lines := strings.Split(body, "\n")
	if code != 200 || lines[0] != "web-1 "+s.http.Addr().String() {
		t.Errorf("got %d %q, want the name and address first", code, lines[0])
	}
	if len(lines) < 3 || lines[2] != "GET /some/path?q=1 HTTP/1.1" {
		t.Errorf("the request is not in %q", body)
	}
}

func TestReadiness(t *testing.T) {
	s := runEcho(t, Options{Name: "web-1"})
	base := "http://" + s.http.Addr().String()
	steps := []struct {
		method, path string
		want         int
	}{
		{"GET", "/healthz", 200}, {"POST", "/ready?ok=false", 200}, {"GET", "/healthz", 503}, {"GET", "/", 200},
		{"POST", "/ready?ok=maybe", 400}, {"GET", "/healthz", 503}, {"POST", "/ready?ok=true", 200}, {"GET", "/healthz", 200},
	}
	for _, step := range steps {
		if code, body := fetch(t, step.method, base+step.path); code != step.want {
			t.Errorf("%s %s: %d %q, want %d", step.method, step.path, code, body, step.want)
		}
	}
}

func TestStartsUnready(t *testing.T) {
	s := runEcho(t, Options{Unready: true})
	if code, _ := fetch(t, "GET", "http://"+s.http.Addr().String()+"/healthz"); code != 503 {
		t.Errorf("got %d, want 503", code)
	}
}

func TestEnvShowsServicesOnly(t *testing.T) {
	t.Setenv("HELLO_SERVICE_HOST", "127.96.0.9")
	t.Setenv("HELLO_PORT_8080_TCP_ADDR", "127.96.0.9")
	t.Setenv("PASSWORD", "secret")
	s := runEcho(t, Options{})
	_, body := fetch(t, "GET", "http://"+s.http.Addr().String()+"/env")
	for _, want := range []string{"HELLO_SERVICE_HOST=127.96.0.9\n", "HELLO_PORT_8080_TCP_ADDR=127.96.0.9\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing in %q", want, body)
		}
	}
	if strings.Contains(body, "secret") {
		t.Errorf("%q shows a variable that does not describe a Service", body)
	}
}

func TestTCPAndUDP(t *testing.T) {
	s := runEcho(t, Options{Name: "web-1"})
	for network, addr := range map[string]net.Addr{"tcp": s.tcp.Addr(), "udp": s.udp.LocalAddr()} {
		conn, err := net.DialTimeout(network, addr.String(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(conn, "hello\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "web-1 hello\n" {
			t.Errorf("%s: got %q, %v", network, line, err)
		}
		conn.Close()
	}
}

func TestPortTaken(t *testing.T) {
	s := runEcho(t, Options{})
	if _, err := New(Options{HTTP: s.http.Addr().String()}); err == nil || !strings.Contains(err.Error(),
		"listening for HTTP") {
		t.Errorf("got %v, want an error of listening", err)
	}
}
