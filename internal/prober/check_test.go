package prober

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// put asks once, with a bound that no test should reach.
func put(t *testing.T, handler v1.ProbeHandler, target Target) Answer {
	t.Helper()
	check, err := NewCheck(handler, target)
	if err != nil {
		t.Fatalf("making the check: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return check(ctx)
}

func targetOf(t *testing.T, address string) (Target, int) {
	t.Helper()
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return Target{Addr: ap.Addr(), Ports: []v1.ContainerPort{{Name: "web", ContainerPort: int32(ap.Port())}}},
		int(ap.Port())
}

func probed(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/status":
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		w.WriteHeader(code)
		_, _ = w.Write([]byte(strings.Repeat("x", 2*maxOutput)))
	case "/away":
		http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
	case "/here":
		http.Redirect(w, r, "/status?code=500", http.StatusFound)
	case "/round":
		http.Redirect(w, r, "/round", http.StatusFound)
	case "/headers":
		_, _ = w.Write([]byte(r.Host + "|" + r.Header.Get("User-Agent") + "|" + strings.Join(r.Header.Values("X-A"), ",") +
			"|" + r.Header.Get("Accept")))
	case "/":
		_, _ = w.Write([]byte("root"))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(probed))
	defer server.Close()
	target, port := targetOf(t, server.Listener.Addr().String())
	tests := []struct {
		path string
		want Verdict
		says string
	}{
		{"", Good, "root"}, {"/", Good, "root"},
		{"/status?code=200", Good, ""}, {"status?code=204", Good, ""}, {"/status?code=399", Good, ""},
		{"/status?code=400", Bad, "HTTP status 400"}, {"/status?code=503", Bad, "HTTP status 503"},
		{"/away", Good, ""}, {"/here", Bad, "500"}, {"/round", Bad, "redirects"}, {"/none", Bad, "404"},
		{"/headers", Good, "|" + UserAgent + "||*/*"},
	}
	for _, tt := range tests {
		for _, p := range []intstr.IntOrString{intstr.FromInt32(int32(port)), intstr.FromString("web")} {
			answer := put(t, v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: tt.path, Port: p}}, target)
			if answer.Verdict != tt.want || !strings.Contains(answer.Output, tt.says) || len(answer.Output) > maxOutput {
				t.Errorf("%s at %s: verdict %v, %d bytes: %.80q; want %v, %q", tt.path, p.String(), answer.Verdict,
					len(answer.Output), answer.Output, tt.want, tt.says)
			}
		}
	}
	headers := []v1.HTTPHeader{{Name: "host", Value: "shop"}, {Name: "x-a", Value: "1"}, {Name: "X-A", Value: "2"},
		{Name: "user-agent", Value: "me"}, {Name: "accept", Value: ""}}
	answer := put(t, v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Path: "/headers", Port: intstr.FromInt32(int32(port)),
		HTTPHeaders: headers}}, target)
	if answer.Output != "shop|me|1,2|" {
		t.Errorf("headers arrived as %q", answer.Output)
	}
}

func TestHTTPSIsNotVerified(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(probed))
	defer server.Close()
	target, port := targetOf(t, server.Listener.Addr().String())
	action := &v1.HTTPGetAction{Scheme: v1.URISchemeHTTPS, Port: intstr.FromInt32(int32(port))}
	if answer := put(t, v1.ProbeHandler{HTTPGet: action}, target); answer.Verdict != Good {
		t.Errorf("HTTPS with a certificate of its own: %v", answer)
	}
	action.Scheme = v1.URISchemeHTTP
	if answer := put(t, v1.ProbeHandler{HTTPGet: action}, target); answer.Verdict != Bad {
		t.Errorf("plain HTTP to a TLS server: %v", answer)
	}
}

func TestTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target, port := targetOf(t, listener.Addr().String())
	handler := v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt32(int32(port))}}
	if answer := put(t, handler, target); answer.Verdict != Good {
		t.Errorf("listening: %v", answer)
	}
	handler.TCPSocket.Host = "127.0.0.1"
	target.Addr = netip.MustParseAddr("127.0.0.9")
	if answer := put(t, handler, target); answer.Verdict != Good {
		t.Errorf("with a host of its own: %v", answer)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if answer := put(t, handler, target); answer.Verdict != Bad || answer.Output == "" {
		t.Errorf("closed: %v", answer)
	}
}

func TestGRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, service := grpc.NewServer(), grpchealth.NewServer()
	grpc_health_v1.RegisterHealthServer(server, service)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	target, port := targetOf(t, listener.Addr().String())
	shop, none := "shop", "none"
	service.SetServingStatus(shop, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	for _, tt := range []struct {
		service *string
		want    Verdict
		says    string
	}{{nil, Good, "SERVING"}, {&shop, Bad, "NOT_SERVING"}, {&none, Bad, "unknown"}} {
		answer := put(t, v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: int32(port), Service: tt.service}}, target)
		if answer.Verdict != tt.want || !strings.Contains(answer.Output, tt.says) {
			t.Errorf("service %v: %v, want %v %q", tt.service, answer, tt.want, tt.says)
		}
	}
	bare := grpc.NewServer()
	defer bare.Stop()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = bare.Serve(other) }()
	target, port = targetOf(t, other.Addr().String())
	if answer := put(t, v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: int32(port)}}, target); answer.Verdict != Bad ||
		!strings.Contains(answer.Output, "does not offer") {
		t.Errorf("a server without the protocol: %v", answer)
	}
}

func TestExec(t *testing.T) {
	handler := v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"ask"}}}
	for _, tt := range []struct {
		code int
		err  error
		want Verdict
	}{{0, nil, Good}, {3, nil, Bad}, {0, errors.New("no such program"), Unknown}} {
		target := Target{Exec: func(context.Context, []string) (string, int, error) { return "out", tt.code, tt.err }}
		if answer := put(t, handler, target); answer.Verdict != tt.want {
			t.Errorf("code %d, err %v: %v, want %v", tt.code, tt.err, answer, tt.want)
		}
	}
	slow := Target{Exec: func(ctx context.Context, _ []string) (string, int, error) {
		<-ctx.Done()
		return "", -1, ctx.Err()
	}}
	check, err := NewCheck(handler, slow)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if answer := check(ctx); answer.Verdict != Bad {
		t.Errorf("too slow: %v, want bad", answer)
	}
}

func TestNewCheckRefuses(t *testing.T) {
	target := Target{Addr: netip.MustParseAddr("127.0.0.1")}
	for name, handler := range map[string]v1.ProbeHandler{
		"nothing":         {},
		"unknown port":    {HTTPGet: &v1.HTTPGetAction{Port: intstr.FromString("web")}},
		"port 0":          {TCPSocket: &v1.TCPSocketAction{}},
		"port 70000":      {TCPSocket: &v1.TCPSocketAction{Port: intstr.FromInt32(70000)}},
		"grpc port":       {GRPC: &v1.GRPCAction{}},
		"scheme":          {HTTPGet: &v1.HTTPGetAction{Port: intstr.FromInt32(1), Scheme: "FTP"}},
		"path":            {HTTPGet: &v1.HTTPGetAction{Port: intstr.FromInt32(1), Path: "/%zz"}},
		"empty command":   {Exec: &v1.ExecAction{}},
		"nothing to exec": {Exec: &v1.ExecAction{Command: []string{"x"}}},
	} {
		if _, err := NewCheck(handler, target); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
