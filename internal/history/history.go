// Package history records every change of the endpoints of a Service: the time, the address, the reason, and the write.
// It observes EndpointSlices as they change. It keeps a bounded number of changes, in a file that outlives the process
// or in memory. It must not decide anything: a lost history affects only the people who read it.
package history

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The changes of an address of a Service.
const (
	Added    = "added"     // the address is listed
	Removed  = "removed"   // the address is no longer listed
	Ready    = "ready"     // the address gets connections
	Used     = "used"      // the address gets connections although it does not serve: see the reason
	NotReady = "not-ready" // the address is listed, but gets no connections
	Ending   = "ending"    // the address is terminating, and gets connections only if no other address can
	known    = "known"     // not a change: the state when a file began
)

// A Change is one line of the history.
type Change struct {
	Time    time.Time `json:"time"`
	Service string    `json:"service"` // namespace/name
	Address string    `json:"address"` // with its ports: 10.0.0.1:80,443
	What    string    `json:"what"`
	State   string    `json:"state,omitempty"`   // the state of an added address: Ready, Used, NotReady or Ending
	Reason  string    `json:"reason,omitempty"`  // a membership.Reason, or a few words
	Object  string    `json:"object,omitempty"`  // the written EndpointSlice
	Version string    `json:"version,omitempty"` // the resourceVersion of Object after the write
	Writer  string    `json:"writer,omitempty"`  // the client that wrote Object, as far as is known
	Unseen  bool      `json:"unseen,omitempty"`  // it happened at an unknown earlier time, while no process watched
}

// Options say where a Recorder keeps the history, and how much of it.
type Options struct {
	Path     string       // the newer file; the older one has the suffix ".1". "": in memory only
	MaxBytes int64        // of both files together, approximately; 0: 16 MiB
	Log      *slog.Logger // nil: no logs
}

// memoryLimit is the minimum number of changes that are kept in memory without a file. The maximum is twice as many.
const memoryLimit = 10_000

// A Recorder records the history.
type Recorder struct {
	opts Options

	mu      sync.Mutex                   // protects the following
	state   map[string]map[string]held   // service → address
	before  map[string]map[string]string // service → address → state, from the file: as the last process left it
	file    *file                        // nil: no file
	recent  []Change                     // changes that are not in the file: there is none, or it cannot be written
	failing bool                         // the file cannot be written
}

// New opens the history. Lines that cannot be read are skipped.
func New(opts Options) (*Recorder, error) {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = 16 << 20
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{opts: opts, state: map[string]map[string]held{}, before: map[string]map[string]string{}}
	if opts.Path == "" {
		return r, nil
	}
	var err error
	if r.file, err = openFile(opts.Path); err != nil {
		return nil, fmt.Errorf("opening the history: %w", err)
	}
	return r, r.file.each(r.replay)
}

// replay updates r.before with one line of the file.
func (r *Recorder) replay(c Change) {
	if c.What == Removed {
		delete(r.before[c.Service], c.Address)
		return
	}
	if r.before[c.Service] == nil {
		r.before[c.Service] = map[string]string{}
	}
	r.before[c.Service][c.Address] = cmp.Or(c.State, c.What)
}

// Why returns the reason for the state of an endpoint or, if it is not listed any more, the reason for that.
type Why = func(e *discovery.Endpoint, listed bool) string

// Observe records the changes from one state of a slice to the next; nil: the slice does not exist. Observe must be
// called by one goroutine at a time.
func (r *Recorder) Observe(before, after *discovery.EndpointSlice, why Why) {
	was, is := entries(before), entries(after)
	var changes []Change
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range []struct {
		of   map[string]entry
		from *discovery.EndpointSlice
	}{{was, before}, {is, after}} {
		for _, key := range sortedKeys(s.of) {
			if _, again := is[key]; again && s.from == before && sameOwner(before, after) {
				continue // recorded with its new state
			}
			e, listed := s.of[key], s.from == after
			c, changed := r.note(s.from, key, e, listed)
			if !changed {
				continue
			}
			c.Reason, c.Time = why(e.endpoint, listed), time.Now().UTC()
			c.Object, c.Version, c.Writer = written(before, after)
			changes = append(changes, c)
		}
	}
	r.keep(changes)
}

// note updates the state of an address, and returns the change for the Service, if there is one. An address that moves
// between slices may be in several of them at once. r.mu is held.
func (r *Recorder) note(s *discovery.EndpointSlice, key string, e entry, listed bool) (Change, bool) {
	service := serviceOf(s)
	if service == "" {
		return Change{}, false
	}
	addresses := r.state[service]
	if addresses == nil {
		addresses = map[string]held{}
		r.state[service] = addresses
	}
	was, old := r.was(service, key)
	next := addresses[key].without(s.Name)
	if listed {
		next = next.with(s.Name, e.state)
	}
	if addresses[key] = next; next.state == "" {
		delete(addresses, key)
	}
	is := next.best()
	if len(addresses) == 0 {
		delete(r.state, service)
	}
	c := Change{Service: service, Address: key, What: is, Unseen: old}
	switch {
	case was == is:
		return c, false
	case is == "":
		c.What = Removed
	case was == "":
		c.What, c.State = Added, is
	}
	return c, true
}

// was returns the state of an address before this change, as this process knows it. For the first change of an address
// that is the state from the file, and old is true. r.mu is held.
func (r *Recorder) was(service, key string) (state string, old bool) {
	if here := r.state[service][key].best(); here != "" {
		return here, false
	}
	state, old = r.before[service][key]
	delete(r.before[service], key)
	return state, old
}

// Synced says that every existing slice was observed. An address that only the file knows is recorded as removed.
func (r *Recorder) Synced() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var changes []Change
	for _, service := range sortedKeys(r.before) {
		for _, key := range sortedKeys(r.before[service]) {
			changes = append(changes, Change{Time: time.Now().UTC(), Service: service, Address: key, What: Removed, Unseen: true,
				Reason: "nobody watched"})
		}
	}
	clear(r.before)
	r.keep(changes)
}

// Of returns the history of a Service, the oldest change first.
func (r *Recorder) Of(service types.NamespacedName) ([]Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := []Change{}
	add := func(c Change) {
		if c.Service == service.String() && c.What != known {
			changes = append(changes, c)
		}
	}
	if r.file != nil {
		if err := r.file.each(add); err != nil {
			return nil, fmt.Errorf("reading the history: %w", err)
		}
	}
	for _, c := range r.recent {
		add(c)
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return a.Time.Compare(b.Time) })
	return changes, nil
}

// Close closes the file. Observe must not be called after that.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return r.file.close()
}

// keep writes changes to the file; r.mu is held. If that fails, the changes stay in memory until the file can be
// written again. The memory is limited (see memoryLimit).
func (r *Recorder) keep(changes []Change) {
	if len(changes) == 0 && len(r.recent) == 0 {
		return
	}
	if r.file == nil {
		r.remember(changes)
		return
	}
	err := r.write(append(slices.Clip(r.recent), changes...))
	switch {
	case err == nil:
		r.recent = nil
		if r.failing {
			r.opts.Log.Info("the history can be written again")
		}
	case !r.failing:
		r.opts.Log.Warn("the history cannot be written; what changes is kept in memory", "err", err)
		fallthrough
	default:
		r.remember(changes)
	}
	r.failing = err != nil
}

func (r *Recorder) remember(changes []Change) {
	r.recent = append(r.recent, changes...)
	if len(r.recent) > 2*memoryLimit { // rare, because it copies the kept changes
		r.recent = slices.Clone(r.recent[len(r.recent)-memoryLimit:])
	}
}

func (r *Recorder) write(changes []Change) error {
	var lines []byte
	for _, c := range changes {
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := r.file.append(lines); err != nil {
		return err
	}
	if r.file.size <= r.opts.MaxBytes/2 || r.file.size < 2*r.file.head {
		return nil
	}
	return r.file.rotate(r.snapshot())
}

// snapshot returns lines with the current state of all addresses, for the start of a new file.
func (r *Recorder) snapshot() (lines []byte) {
	now := time.Now().UTC()
	for service, addresses := range r.state {
		for key, in := range addresses {
			line, err := json.Marshal(Change{Time: now, Service: service, Address: key, What: known, State: in.best()})
			if err == nil {
				lines = append(append(lines, line...), '\n')
			}
		}
	}
	return lines
}
