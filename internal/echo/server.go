// Package echo is a small test server. It answers HTTP requests, TCP lines and UDP datagrams with its own name, so that
// a client can see which endpoint of a Service answered. The examples and the demo run it. Its readiness can be changed
// over HTTP.
package echo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// drainTimeout bounds how long requests in progress may take after the server is stopped.
const drainTimeout = 5 * time.Second

// Options configure a Server. Each address is HOST:PORT; port 0 takes any free port.
type Options struct {
	Name    string // the name that every answer begins with
	HTTP    string // required
	TCP     string // empty: no TCP listener
	UDP     string // empty: no UDP listener
	Unready bool   // /healthz answers 503 until a client sets the server ready
}

// A Server answers with its name. New opens the listeners, and Run serves.
type Server struct {
	name  string
	ready atomic.Bool
	http  net.Listener
	tcp   net.Listener   // nil: no TCP listener
	udp   net.PacketConn // nil: no UDP listener
}

// New opens the listeners of o. It returns an error if an address cannot be listened on.
func New(o Options) (*Server, error) {
	s := &Server{name: o.Name}
	s.ready.Store(!o.Unready)
	if err := s.listen(o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) listen(o Options) (err error) {
	if s.http, err = net.Listen("tcp", o.HTTP); err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	if o.TCP != "" {
		if s.tcp, err = net.Listen("tcp", o.TCP); err != nil {
			return fmt.Errorf("listening for TCP: %w", err)
		}
	}
	if o.UDP != "" {
		if s.udp, err = net.ListenPacket("udp", o.UDP); err != nil {
			return fmt.Errorf("listening for UDP: %w", err)
		}
	}
	return nil
}

// Name returns the name that the server answers with.
func (s *Server) Name() string { return s.name }

// Addr returns the address of the HTTP listener.
func (s *Server) Addr() net.Addr { return s.http.Addr() }

// Close closes the listeners of a server that was not run. Run closes them itself.
func (s *Server) Close() {
	for _, c := range []io.Closer{s.http, s.tcp, s.udp} {
		if c != nil {
			c.Close()
		}
	}
}

// Run serves until ctx ends. Then it stops being ready, finishes the requests in progress, and returns nil. It returns
// an error if serving HTTP fails or if requests are still in progress after five seconds.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	var others sync.WaitGroup
	others.Go(s.serveTCP)
	others.Go(s.serveUDP)
	go func() { failed <- server.Serve(s.http) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving HTTP: %w", err)
	case <-ctx.Done():
	}
	s.ready.Store(false)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	s.Close()
	others.Wait()
	if err != nil {
		return fmt.Errorf("finishing requests: %w", err)
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.identify)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("POST /ready", s.setReady)
	mux.HandleFunc("GET /env", s.env)
	return mux
}

// identify writes the server's name and address on the first line, then repeats the request with its headers sorted.
func (s *Server) identify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s %s\n", s.name, s.http.Addr())
	fmt.Fprintf(w, "from %s\n%s %s %s\nHost: %s\n", r.RemoteAddr, r.Method, r.URL.RequestURI(), r.Proto, r.Host)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], ", "))
	}
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) setReady(w http.ResponseWriter, r *http.Request) {
	ok, err := strconv.ParseBool(r.URL.Query().Get("ok"))
	if err != nil {
		http.Error(w, "want ok=true or ok=false", http.StatusBadRequest)
		return
	}
	s.ready.Store(ok)
	fmt.Fprintf(w, "ready: %t\n", ok)
}

// serviceVariable matches the names of the environment variables that describe a Service. Other variables may hold
// secrets and are never shown to a client.
var serviceVariable = regexp.MustCompile(
	`^[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// env lists the Service variables in the order in which the process received them.
func (s *Server) env(w http.ResponseWriter, _ *http.Request) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); serviceVariable.MatchString(name) {
			fmt.Fprintln(w, entry)
		}
	}
}

func (s *Server) serveTCP() {
	if s.tcp == nil {
		return
	}
	for {
		conn, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go s.echoLines(conn)
		}
	}
}

func (s *Server) echoLines(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := fmt.Fprintf(conn, "%s %s\n", s.name, lines.Text()); err != nil {
			return
		}
	}
}

func (s *Server) serveUDP() {
	if s.udp == nil {
		return
	}
	buf := make([]byte, 64<<10) // the maximum size of a datagram
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.udp.WriteTo(fmt.Appendf(nil, "%s %s", s.name, buf[:n]), from) // UDP clients must expect lost answers
		}
	}
}
