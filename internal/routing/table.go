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
	Created   time.Time  // the creation time of the Service: if two claim one address, the older one wins
	Frontends []Frontend // the result of Frontends; empty removes the Service. The Table keeps the slice; do not change it
}

// Equal reports whether e and o have equal content.
func (e Entry) Equal(o Entry) bool {
	return e.Service == o.Service && e.Created.Equal(o.Created) && slices.EqualFunc(e.Frontends, o.Frontends,
		Frontend.Equal)
}

// A Table holds the Frontends of every Service. If two Services claim the same Dest, the older one owns it; if both
// have the same age, the first by name. A Table is immutable: With makes another one. The zero Table is empty and ready
// for use. Any number of goroutines may use a Table.
type Table struct {
	services *shards[Name, Entry]
	claims   *shards[Dest, []claim] // the owner first; there is rarely more than one claim
}

// A claim is the request of one Service to own a Dest.
type claim struct {
	created  time.Time
	frontend *Frontend // points into its Entry
}

func (c claim) compare(o claim) int {
	return cmp.Or(c.created.Compare(o.created), c.frontend.Service.Compare(o.frontend.Service))
}

// With returns a copy of t in which the Services of entries are replaced, each as a whole. changed names (sorted,
// without ports) all Services whose Frontends differ from t: Services of entries, and Services that won or lost an
// address. An entry without a change costs one comparison. With does not change t.
func (t *Table) With(entries ...Entry) (next *Table, changed []Name) {
	c := newChange(t)
	for _, e := range entries {
		c.replace(e)
	}
	return c.done(), c.changed()
}

// Entry is the Service's part of the table, including the addresses that it claims but does not own.
func (t *Table) Entry(svc Name) (Entry, bool) {
	if t.services == nil {
		return Entry{}, false
	}
	return t.services.get(svc.Service())
}

// Of lists the Frontends that svc owns, sorted by Key. A backend serves these.
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

// A Lost is a Frontend that one Service claims and another Service owns.
type Lost struct {
	Frontend Frontend
	To       Name // the Service port that owns the address
}

// LostBy lists the Frontends that svc claims but does not own, sorted by Key.
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

// Lookup finds the Frontend and the Pool that serve a connection from from to to. A client that may not connect gets an
// empty Pool with reason NotAllowed. False means that no Service owns the address and port.
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

// owner is the Frontend that owns d; nil when no Service claims d.
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
