package nft

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// A Place is an address and port of the kernel's table, and the handling of connections to it.
type Place struct {
	Service  string // the comment of the element: the name of the Service port
	Dest     routing.Dest
	Inside   Way            // for connections from this host and its Pods; for all connections if Outside is nil
	Outside  *Way           // for connections from outside, if it differs
	Policy   routing.Policy // picks one of the slots
	Allowed  []netip.Prefix // the client ranges that may connect; empty: all clients
	Affinity time.Duration  // the timeout of session affinity; 0: no affinity
	Known    int            // the number of clients with an affinity entry
}

// A Way is the destination of connections: slots with backends, or the action without a backend.
type Way struct {
	Action routing.Action   // 0: to one of Slots
	Slots  []netip.AddrPort // in the order of the slots; a backend with more weight has several
	Holes  int              // the number of missing slots: another program changed the table
}

// A Description is the content of the kernel's tables, read from the kernel.
type Description struct {
	Tables []string // the existing tables, for example "ip viaduct"
	Pods   []netip.Prefix
	Places []Place // by Service and Dest
}

// Describe reads the tables of the calling thread's network namespace. It needs CAP_NET_ADMIN.
func Describe() (Description, error) {
	var d Description
	c, err := nftables.Open()
	if err != nil {
		return d, err
	}
	defer func() { _ = c.Close() }() // nothing was written
	for _, f := range families {
		have, err := readTable(c, f)
		if err != nil {
			return d, err
		}
		if !have.exists {
			continue
		}
		d.Tables = append(d.Tables, tableOf(f).String())
		if err := d.read(c, f, have); err != nil {
			return d, err
		}
	}
	slices.SortFunc(d.Places, func(a, b Place) int {
		if c := strings.Compare(a.Service, b.Service); c != 0 {
			return c
		}
		return a.Dest.Addr.Compare(b.Dest.Addr)
	})
	return d, nil
}

// read adds one family's table.
func (d *Description) read(c *nftables.Conn, f nftables.Family, have found) error {
	k, all := &skeleton{layout: &layout{family: f}, sets: map[setID]bool{}}, newKernel()
	for name := range have.sets {
		if set, ours := setNamed(name); ours && set.seconds > 0 {
			k.sets[set] = true
		}
	}
	if err := readElements(c, f, k, all); err != nil {
		return err
	}
	remembered := map[netip.AddrPort]int{}
	if err := readSet(c, f, setID{kind: affinity}, func(e element) { remembered[e.dest.Addr]++ }); err != nil {
		return err
	}
	d.Pods = append(d.Pods, all.pods[f]...)
	for key, v := range all.elements {
		if key.set.kind == services {
			d.Places = append(d.Places, all.place(key.dest, v, remembered))
		}
	}
	return nil
}

// place collects the elements of one Dest into a Place.
func (h *kernel) place(to routing.Dest, v value, remembered map[netip.AddrPort]int) Place {
	p := Place{Service: v.comment, Dest: to, Inside: h.way(to, v, false), Policy: h.policy(to, v)}
	if v, there := h.elements[key{set: setID{kind: outsideServices}, dest: to}]; there {
		way := h.way(to, v, true)
		p.Outside = &way
	}
	for key, v := range h.about(to) {
		switch key.set.kind { // others: they say nothing about one place
		case allowed:
			p.Allowed = append(p.Allowed, key.from)
		case sticky:
			p.Affinity, p.Known = time.Duration(key.set.seconds)*time.Second, remembered[v.to]
		}
	}
	slices.SortFunc(p.Allowed, netip.Prefix.Compare)
	return p
}

// about are the elements of a Dest in the sets allowed and sticky. Few Services have such elements.
func (h *kernel) about(to routing.Dest) map[key]value {
	if h.rare == nil {
		h.rare = map[routing.Dest]map[key]value{}
		for k, v := range h.elements {
			if k.set.kind != allowed && k.set.kind != sticky {
				continue
			}
			if h.rare[k.dest] == nil {
				h.rare[k.dest] = map[key]value{}
			}
			h.rare[k.dest][k] = v
		}
	}
	return h.rare[to]
}

// policy is the policy by which the kernel picks a slot for connections from this host.
func (h *kernel) policy(to routing.Dest, v value) routing.Policy {
	if v.slots != byChain {
		return routing.Random
	}
	c, _ := classNamed(h.elements[key{set: setID{kind: chains}, dest: to}].chain)
	return c.policy
}

// slotsOf is the number of slots of a place with the value v in the map services or outsideServices.
func (h *kernel) slotsOf(to routing.Dest, v value, outside bool) int {
	if v.slots != byChain {
		return int(v.slots &^ stickyBit)
	}
	lead := h.elements[key{set: class{outside: outside}.chains(), dest: to}]
	c, _ := classNamed(lead.chain)
	return int(c.slots)
}

func (h *kernel) way(to routing.Dest, v value, outside bool) (w Way) {
	switch v.slots {
	case toReject:
		return Way{Action: routing.Reject}
	case toDrop:
		return Way{Action: routing.Drop}
	}
	seats := h.seats[placeKey{to, outside}]
	for i := range h.slotsOf(to, v, outside) {
		if i >= len(seats) || !seats[i].IsValid() {
			w.Holes++
			continue
		}
		w.Slots = append(w.Slots, seats[i])
	}
	return w
}

// Write prints the description for people. With a filter, it prints only the places whose Service name or address
// contains one of the words of the filter.
func (d Description) Write(out io.Writer, filter []string) error {
	if len(d.Tables) == 0 {
		_, err := fmt.Fprintln(out, "the kernel has no table of viaduct's here")
		return err
	}
	var b strings.Builder
	if len(filter) == 0 {
		fmt.Fprintf(&b, "tables %s: %d places%s\n", strings.Join(d.Tables, ", "), len(d.Places), podsText(d.Pods))
	}
	service := ""
	for _, p := range d.Places {
		if !p.matches(filter) {
			continue
		}
		if p.Service != service {
			fmt.Fprintf(&b, "%s\n", p.Service)
			service = p.Service
		}
		p.write(&b)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func podsText(pods []netip.Prefix) string {
	if len(pods) == 0 {
		return ""
	}
	return fmt.Sprintf("; Pods of this node: %s", join(pods))
}

func (p Place) matches(filter []string) bool {
	if len(filter) == 0 {
		return true
	}
	return slices.ContainsFunc(filter, func(word string) bool {
		return strings.Contains(p.Service, word) || strings.Contains(p.Dest.String(), word)
	})
}

func (p Place) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %-28s %s\n", p.Dest, p.Inside)
	if p.Outside != nil {
		fmt.Fprintf(b, "  %-28s %s\n", "  from elsewhere", *p.Outside)
	}
	if len(p.Allowed) > 0 {
		fmt.Fprintf(b, "  %-28s %s\n", "  only from", join(p.Allowed))
	}
	if p.Policy != routing.Random && p.Inside.Action == 0 {
		fmt.Fprintf(b, "  %-28s %s\n", "  policy", p.Policy)
	}
	if p.Affinity > 0 {
		fmt.Fprintf(b, "  %-28s for %s; %d are remembered\n", "  a client stays", p.Affinity, p.Known)
	}
}

// String describes the way in words. Each backend appears once; if a backend has several slots, each has its share.
func (w Way) String() string {
	switch w.Action {
	case routing.Reject:
		return "refused: nobody serves"
	case routing.Drop:
		return "dropped: whoever serves is on another node"
	}
	share := map[netip.AddrPort]int{}
	for _, a := range w.Slots {
		share[a]++
	}
	var list []string
	for _, a := range slices.Compact(slices.SortedFunc(slices.Values(w.Slots), netip.AddrPort.Compare)) {
		text := a.String()
		if len(share) != len(w.Slots) {
			text = fmt.Sprintf("%s (%d of %d)", a, share[a], len(w.Slots))
		}
		list = append(list, text)
	}
	if w.Holes > 0 {
		list = append(list, fmt.Sprintf("and %d slots that are MISSING", w.Holes))
	}
	return "to " + strings.Join(list, ", ")
}

func join[T fmt.Stringer](list []T) string {
	var words []string
	for _, one := range list {
		words = append(words, one.String())
	}
	return strings.Join(words, ", ")
}
