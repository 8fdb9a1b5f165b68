package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"viaduct/internal/routing"
)

// A State is the state of one Service in a Proxy.
type State struct {
	Node      routing.Node       // as the Proxy knows it
	Mode      string             // how connections are carried: nft or userspace
	Applied   time.Time          // when the Backend last applied this Service; zero: never
	Frontends []routing.Frontend // as they were applied
	Problems  []string           // the parts that are not served, and why
	SetAside  []SetAside         // ejected endpoints
}

// SetAside is an ejected endpoint. The Backend sends it no connections for a while, because of failures that the
// Backend saw.
type SetAside struct {
	Endpoint     netip.AddrPort
	Cause        string
	Since, Until time.Time
}

// An Ejector is a Backend that ejects endpoints.
type Ejector interface {
	SetAside() []SetAside
}

// memory holds what QuestionHandler needs beside the table.
type memory struct {
	mu       sync.Mutex // protects the following
	node     routing.Node
	pods     []netip.Prefix
	applied  map[routing.Name]time.Time
	problems map[routing.Name][]string
}

func newMemory() *memory {
	return &memory{applied: map[routing.Name]time.Time{}, problems: map[routing.Name][]string{}}
}

// note records one sync: it applied t, in which the Services in applied differed.
func (m *memory) note(node routing.Node, pods []netip.Prefix, t *routing.Table, applied []routing.Name, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node, m.pods = node, pods
	for _, name := range applied {
		m.applied[name] = now
		if _, there := t.Entry(name); !there {
			delete(m.applied, name)
		}
	}
}

// complain records the problems of Services. A Service without problems has an empty list in all.
func (m *memory) complain(all map[routing.Name][]problem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, list := range all {
		delete(m.problems, name)
		for _, p := range list {
			m.problems[name] = append(m.problems[name], p.text)
		}
	}
}

// State returns the state of a Service. The result is false if the Proxy does not know the Service.
func (p *Proxy) State(name routing.Name) (State, bool) {
	entry, ok := p.Applied().Entry(name)
	if !ok {
		return State{}, false
	}
	p.memory.mu.Lock()
	s := State{Node: p.memory.node, Applied: p.memory.applied[name], Problems: p.memory.problems[name]}
	p.memory.mu.Unlock()
	s.Frontends = p.Applied().Of(name)
	if e, ok := p.opts.Backend.(Ejector); ok {
		for _, a := range e.SetAside() {
			for _, f := range entry.Frontends {
				if f.Serves(a.Endpoint) {
					s.SetAside = append(s.SetAside, a)
					break
				}
			}
		}
	}
	return s, true
}

// QuestionHandler serves JSON under /debug/: services/{namespace}/{name} returns a State, and trace?from=&to=&proto=
// returns a Trace. mode returns how connections are carried.
func (p *Proxy) QuestionHandler(mode func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/services/{namespace}/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := routing.Name{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
		s, ok := p.State(name)
		if !ok {
			http.Error(w, fmt.Sprintf("this proxy serves no Service %s", name), http.StatusNotFound)
			return
		}
		s.Mode = mode()
		writeJSON(w, s)
	})
	mux.HandleFunc("GET /debug/trace", p.trace)
	return mux
}

func (p *Proxy) trace(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var from netip.Addr
	var err error
	if text := query.Get("from"); text != "" {
		if from, err = netip.ParseAddr(text); err != nil {
			http.Error(w, fmt.Sprintf("from: %v", err), http.StatusBadRequest)
			return
		}
	}
	to, err := netip.ParseAddrPort(query.Get("to"))
	if err != nil {
		http.Error(w, fmt.Sprintf("to: %v", err), http.StatusBadRequest)
		return
	}
	proto := routing.TCP
	if text := query.Get("proto"); text != "" {
		if err := proto.UnmarshalText([]byte(text)); err != nil || proto == 0 {
			http.Error(w, fmt.Sprintf("proto: %q is none of TCP, UDP, SCTP", text), http.StatusBadRequest)
			return
		}
	}
	writeJSON(w, p.Trace(from, to, proto))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // the client may have gone
}
