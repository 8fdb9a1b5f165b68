package routing

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// An Entry is one Service's part of a Table.
type Entry struct {
	Service   Name       // without a port
	Created   time.Time  // the Service's creation: of two that claim one address the older wins
	Frontends []Frontend // as Frontends returns them; empty removes the Service. The Table keeps it; do not change it.
}

// Equal reports whether e and o ask for the same.
func (e Entry) Equal(o Entry) bool {
	return e.Service == o.Service && e.Created.Equal(o.Created) && slices.EqualFunc(e.Frontends, o.Frontends,
		Frontend.Equal)
}

// A Table holds the Frontends of every Service, and settles which Service owns a Dest that two claim: the older one, by
// name when both are of one age. It never changes: With makes another. The zero Table is empty and ready for use, by
// any number of goroutines.
type Table struct {
	services *shards[Name, Entry]
	claims   *shards[Dest, []claim] // best first; hardly ever more than one
}

// A claim is one Service's wish to answer on a Dest.
type claim struct {
	created  time.Time
	frontend *Frontend // points into its Entry
}

func (c claim) compare(o claim) int {
	return cmp.Or(c.created.Compare(o.created), c.frontend.Service.Compare(o.frontend.Service))
}

// With is t with the Services of entries replaced, each as a whole, and the names (sorted, without ports) of all
// Services whose Frontends differ for it: those of entries and those that won or lost an address thereby. Entries that
// change nothing cost a comparison. t stays as it was.
func (t *Table) With(entries ...Entry) (next *Table, changed []Name) {
	c := newChange(t)
	for _, e := range entries {
		c.replace(e)
	}
	return c.done(), c.changed()
}

// Entry is the Service's part of the table, with the addresses it claims but does not own.
func (t *Table) Entry(svc Name) (Entry, bool) {
	if t.services == nil {
		return Entry{}, false
	}
	return t.services.get(svc.Service())
}

// Of lists the Frontends svc owns, sorted by Key. This is what a backend serves.
func (t *Table) Of(svc Name) []Frontend {
	e, _ := t.Entry(svc)
	var out []Frontend
	for i := range e.Frontends {
		if t.owner(e.Frontends[i].Dest()) == &e.Frontends[i] {
			out = append(out, e.Frontends[i])
		}
	}
	return out
}

// A Lost is an address a Service claims and another owns.
type Lost struct {
	Frontend Frontend
	To       Name // the port that owns it
}

// LostBy lists what svc claims and does not get, sorted by Key.
func (t *Table) LostBy(svc Name) []Lost {
	e, _ := t.Entry(svc)
	var out []Lost
	for i := range e.Frontends {
		if o := t.owner(e.Frontends[i].Dest()); o != &e.Frontends[i] {
			out = append(out, Lost{e.Frontends[i], o.Service})
		}
	}
	return out
}

// Services lists every Service that has a Frontend, sorted.
func (t *Table) Services() []Name {
	if t.services == nil {
		return nil
	}
	var out []Name
	for _, part := range t.services.parts {
		for name := range part {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, Name.Compare)
	return out
}

// All lists the Frontends of every Service that own their Dest, by Service and Key.
func (t *Table) All() []Frontend {
	var out []Frontend
	for _, svc := range t.Services() {
		out = append(out, t.Of(svc)...)
	}
	return out
}

// Lookup says what happens to a connection from from to to: which Frontend takes it and which Pool serves it. A client
// that may not connect gets an empty Pool with reason NotAllowed. False means that no Service answers there.
func (t *Table) Lookup(from Origin, to netip.AddrPort, proto Proto) (Frontend, Pool, bool) {
	f := t.owner(Dest{netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), proto})
	if f == nil {
		return Frontend{}, Pool{}, false
	}
	return *f, f.PoolFor(from), true
}

// PoolFor is the pool that serves a connection from from.
func (f Frontend) PoolFor(from Origin) Pool {
	switch {
	case !f.Allows(from.Addr):
		return Pool{Empty: Drop, Why: NotAllowed}
	case from.Outside:
		return f.Outside
	}
	return f.Inside
}

// owner is nil when nobody claims d.
func (t *Table) owner(d Dest) *Frontend {
	if t.claims == nil {
		return nil
	}
	return first(t.claims.get(d))
}

func first(claims []claim, _ bool) *Frontend {
	if len(claims) == 0 {
		return nil
	}
	return claims[0].frontend
}
