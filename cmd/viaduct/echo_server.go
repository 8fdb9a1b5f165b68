package main

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

// echoDrain bounds how long requests under way may take once the server is told to stop.
const echoDrain = 5 * time.Second

// echoOptions say who an echo server is, and where it listens. An empty address is not listened on; http must be given.
type echoOptions struct {
	name           string
	http, tcp, udp string
	unready        bool
}

// echoServer answers with its name. New listens; Run serves.
type echoServer struct {
	name  string
	ready atomic.Bool
	http  net.Listener
	tcp   net.Listener   // nil: none
	udp   net.PacketConn // nil: none
}

func newEchoServer(o echoOptions) (*echoServer, error) {
	s := &echoServer{name: o.name}
	s.ready.Store(!o.unready)
	if err := s.listen(o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *echoServer) listen(o echoOptions) (err error) {
	if s.http, err = net.Listen("tcp", o.http); err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	if o.tcp != "" {
		if s.tcp, err = net.Listen("tcp", o.tcp); err != nil {
			return fmt.Errorf("listening for TCP: %w", err)
		}
	}
	if o.udp != "" {
		if s.udp, err = net.ListenPacket("udp", o.udp); err != nil {
			return fmt.Errorf("listening for UDP: %w", err)
		}
	}
	return nil
}

func (s *echoServer) close() {
	for _, c := range []io.Closer{s.http, s.tcp, s.udp} {
		if c != nil {
			c.Close()
		}
	}
}

// Run serves until ctx ends; then it stops being ready, finishes the requests under way, and returns.
func (s *echoServer) Run(ctx context.Context) error {
	defer s.close()
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	var side sync.WaitGroup
	side.Go(s.serveTCP)
	side.Go(s.serveUDP)
	go func() { failed <- server.Serve(s.http) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving HTTP: %w", err)
	case <-ctx.Done():
	}
	s.ready.Store(false)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), echoDrain)
	defer cancel()
	err := server.Shutdown(drain)
	s.close()
	side.Wait()
	if err != nil {
		return fmt.Errorf("finishing requests: %w", err)
	}
	return nil
}

func (s *echoServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.answer)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("POST /ready", s.setReady)
	mux.HandleFunc("GET /env", s.env)
	return mux
}

// answer says who answered on the first line, then repeats the request with its headers sorted.
func (s *echoServer) answer(w http.ResponseWriter, r *http.Request) {
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

func (s *echoServer) healthz(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *echoServer) setReady(w http.ResponseWriter, r *http.Request) {
	ok, err := strconv.ParseBool(r.URL.Query().Get("ok"))
	if err != nil {
		http.Error(w, "want ok=true or ok=false", http.StatusBadRequest)
		return
	}
	s.ready.Store(ok)
	fmt.Fprintf(w, "ready: %t\n", ok)
}

// aboutService matches the names of the variables that tell a container of a Service; no other variable is shown to a
// client.
var aboutService = regexp.MustCompile(
	`^[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// env lists the variables about Services in the order the process got them.
func (s *echoServer) env(w http.ResponseWriter, _ *http.Request) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); aboutService.MatchString(name) {
			fmt.Fprintln(w, entry)
		}
	}
}

func (s *echoServer) serveTCP() {
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

func (s *echoServer) echoLines(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := fmt.Fprintf(conn, "%s %s\n", s.name, lines.Text()); err != nil {
			return
		}
	}
}

func (s *echoServer) serveUDP() {
	if s.udp == nil {
		return
	}
	buf := make([]byte, 64<<10) // no datagram is longer
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.udp.WriteTo(fmt.Appendf(nil, "%s %s", s.name, buf[:n]), from) // a lost answer is the client's to notice
		}
	}
}
