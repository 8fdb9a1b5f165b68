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

// A State is what a Proxy has done about one Service.
type State struct {
	Node      routing.Node       // as the Proxy knows it
	Mode      string             // how connections are carried: nft, userspace
	Applied   time.Time          // when this Service was last handed to the Backend; zero: not yet
	Frontends []routing.Frontend // as they were
	Problems  []string           // what of it is not served, and why
	SetAside  []SetAside         // endpoints that get no connections for a while
}

// SetAside is an endpoint that a Backend does not send connections to for a while, for what it saw itself.
type SetAside struct {
	Endpoint     netip.AddrPort
	Cause        string
	Since, Until time.Time
}

// An Ejector is a Backend that sets endpoints aside.
type Ejector interface {
	SetAside() []SetAside
}

// memory is what questions are answered from, beside the table.
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

// note takes in what a round of the loop did: it applied t, in which these Services differed.
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

// complain takes in what is not served. Services without problems are listed, too.
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

// State is what the Proxy has done about a Service; false if it knows none of that name.
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

// QuestionHandler answers under /debug/: services/{namespace}/{name} with a State, trace?from=&to=&proto= with a Trace,
// as JSON. mode is how connections are carried.
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
	_ = encoder.Encode(v) // the reader may have gone
}
