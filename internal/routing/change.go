package routing

import (
	"maps"
	"slices"
)

// change builds the next Table from an earlier one.
type change struct {
	services *edit[Name, Entry]
	claims   *edit[Dest, []claim]
	before   map[Dest]*Frontend // the owner of each Dest before this change touched the Dest
}

func newChange(t *Table) *change {
	c := &change{before: map[Dest]*Frontend{}}
	if t.services == nil {
		c.services = (&shards[Name, Entry]{hash: hashName}).edit()
		c.claims = (&shards[Dest, []claim]{hash: hashDest}).edit()
		return c
	}
	c.services, c.claims = t.services.edit(), t.claims.edit()
	return c
}

func (c *change) replace(e Entry) {
	e.Service = e.Service.Service()
	old, _ := c.services.get(e.Service)
	if old.Equal(e) {
		return
	}
	for i := range old.Frontends {
		c.withdraw(&old.Frontends[i])
	}
	for i := range e.Frontends {
		c.claim(claim{e.Created, &e.Frontends[i]})
	}
	if len(e.Frontends) == 0 {
		c.services.remove(e.Service)
		return
	}
	c.services.set(e.Service, e)
}

func (c *change) withdraw(f *Frontend) {
	d := f.Dest()
	have := c.touch(d)
	left := slices.DeleteFunc(slices.Clone(have), func(have claim) bool { return have.frontend == f })
	if len(left) == 0 {
		c.claims.remove(d)
		return
	}
	c.claims.set(d, left)
}

func (c *change) claim(n claim) {
	d := n.frontend.Dest()
	have := c.touch(d)
	at, _ := slices.BinarySearchFunc(have, n, claim.compare)
	c.claims.set(d, slices.Insert(slices.Clone(have), at, n))
}

// touch returns the claims on d, and records the earlier owner of d.
func (c *change) touch(d Dest) []claim {
	have, _ := c.claims.get(d)
	if _, seen := c.before[d]; !seen {
		c.before[d] = first(have, true)
	}
	return have
}

func (c *change) done() *Table {
	return &Table{services: &c.services.shards, claims: &c.claims.shards}
}

// changed names, sorted, the Services that won, lost or changed a Frontend.
func (c *change) changed() []Name {
	names := map[Name]bool{}
	for d, before := range c.before {
		after := first(c.claims.get(d))
		if before != nil && after != nil && before.Equal(*after) {
			continue
		}
		for _, f := range []*Frontend{before, after} {
			if f != nil {
				names[f.Service.Service()] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(names), Name.Compare)
}
