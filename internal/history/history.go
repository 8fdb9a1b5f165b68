// Package history keeps every change of who is behind a Service: when, which address, why, and by which write. It is
// told of EndpointSlices as they change and keeps what it is told within a bound, in a file that outlives the process
// or in memory. It must not decide anything: what is lost here is lost for people only.
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

// What may happen to an address of a Service.
const (
	Added    = "added"     // it is listed
	Removed  = "removed"   // it is not any more
	Ready    = "ready"     // it gets connections
	Used     = "used"      // it gets connections though it does not serve: see the reason
	NotReady = "not-ready" // it is listed and gets none
	Ending   = "ending"    // it goes, and gets connections only if nobody else can
	known    = "known"     // not a change: what was so when a file began
)

// A Change is one line of the history.
type Change struct {
	Time    time.Time `json:"time"`
	Service string    `json:"service"` // namespace/name
	Address string    `json:"address"` // with its ports: 10.0.0.1:80,443
	What    string    `json:"what"`
	State   string    `json:"state,omitempty"`   // of an address that was added: Ready, Used, NotReady or Ending
	Reason  string    `json:"reason,omitempty"`  // a membership.Reason, or a few words
	Object  string    `json:"object,omitempty"`  // the EndpointSlice that was written
	Version string    `json:"version,omitempty"` // its resourceVersion after that
	Writer  string    `json:"writer,omitempty"`  // who wrote it, as far as is known
	Unseen  bool      `json:"unseen,omitempty"`  // it happened at some time before, while nobody watched
}

// Options say where a Recorder keeps what it is told.
type Options struct {
	Path     string       // the file; the one before it has ".1" behind its name. "": in memory only
	MaxBytes int64        // of both files together, about; 0: 16 MiB
	Log      *slog.Logger // nil: no logs
}

// memoryLimit is how many changes are kept in memory at least where there is no file; twice as many at most.
const memoryLimit = 10_000

// A Recorder keeps the history.
type Recorder struct {
	opts Options

	mu      sync.Mutex                   // protects the following
	state   map[string]map[string]held   // service → address
	before  map[string]map[string]string // service → address → state, by the file: what was so when the last process ended
	file    *file                        // nil: there is none
	recent  []Change                     // where there is no file, or it cannot be written
	failing bool                         // the file cannot be written
}

// New opens the history. What cannot be read of it is left out.
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

// replay brings r.before up to date with one line of the file.
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

// Why says why an endpoint of a Service is as it is, or, if it is not listed any more, why not.
type Why = func(e *discovery.Endpoint, listed bool) string

// Observe notes what has changed from one state of a slice to the next; nil is none. It may be called by one goroutine
// at a time.
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
				continue // it is told of as it is now
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

// note brings the state up to date, and says what it means for the Service: an address may be in several slices on its
// way from one to another. r.mu is held.
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

// was is the state of an address before, as this process knows it or, until it has heard of it, as the file does: then
// it is old. r.mu is held.
func (r *Recorder) was(service, key string) (state string, old bool) {
	if here := r.state[service][key].best(); here != "" {
		return here, false
	}
	state, old = r.before[service][key]
	delete(r.before[service], key)
	return state, old
}

// Synced says that every slice there is has been observed: what the file knows and nobody has told of is gone.
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

// Of is the history of a Service, the oldest first.
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

// Close closes the file. Nothing is to be observed after that.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return r.file.close()
}

// keep writes changes down; r.mu is held. What cannot be written is kept in memory, as far as there is room, until it
// can.
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
	if len(r.recent) > 2*memoryLimit { // seldom: it moves what stays
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

// snapshot is what is so now, for a file to begin with.
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
