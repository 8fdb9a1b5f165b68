package nft

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

func backendsOf(r *rand.Rand, n int) (list []routing.Backend) {
	for i := range n {
		if r.IntN(3) > 0 {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
			list = append(list, routing.Backend{Addr: addr, Weight: 1})
		}
	}
	return list
}

// Whatever came before: everybody has one seat, nobody else has, and nobody moves but those who fill the seats of those
// that left.
func TestArrangeMovesTheFewest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var had []netip.AddrPort
	for range 2000 {
		want := backendsOf(r, r.IntN(40))
		seats := arrange(had, want)
		sorted := slices.SortedFunc(slices.Values(seats), netip.AddrPort.Compare)
		if !slices.EqualFunc(sorted, want, func(a netip.AddrPort, b routing.Backend) bool { return a == b.Addr }) {
			t.Fatalf("%v sit for %v", seats, want)
		}
		for i, who := range had {
			stays := slices.ContainsFunc(want, func(b routing.Backend) bool { return b.Addr == who })
			if stays && i < len(seats) && seats[i] != who {
				t.Fatalf("%s moved from seat %d, which there still is", who, i)
			}
		}
		had = seats
	}
}

func TestNamesOfSetsAndClasses(t *testing.T) {
	sets := append(fixed(), setID{sticky, 10800}, setID{outsideSticky, 5})
	for _, s := range sets {
		if got, ok := setNamed(s.name()); !ok || got != s {
			t.Errorf("%q names %v", s.name(), got)
		}
	}
	for _, name := range []string{"", "sticky", "sticky-s", "sticky-0s", "other", "sticky-5"} {
		if got, ok := setNamed(name); ok {
			t.Errorf("%q names %v", name, got)
		}
	}
	at4, at6 := destOf(netip.MustParseAddr("10.96.0.1"), 80, routing.TCP), destOf(netip.MustParseAddr("fd00::1"), 53,
		routing.UDP)
	for _, c := range []class{{slots: 3, policy: routing.Random}, {slots: 300, outside: true, policy: routing.Random},
		{slots: 7, seconds: 60, policy: routing.Random}, {slots: 7, seconds: 60, outside: true, policy: routing.Random},
		{slots: 4096, policy: routing.SourceHash}, {slots: 4096, seconds: 5, outside: true, policy: routing.SourceHash},
		{slots: 3, policy: routing.RoundRobin, dest: at4},
		{slots: 3, seconds: 60, outside: true, policy: routing.RoundRobin, dest: at6}} {
		if got, ok := classNamed(c.chain()); !ok || got != c {
			t.Errorf("%q names %v", c.chain(), got)
		}
	}
	for _, name := range []string{"services", "pick-", "pick-03", "stick-3", "stick-3-5", "pick-99999999", "hash-",
		"turn-3", "turn-3-at-", "turn-3-at-10.96.0.1-tcp-0x", "turn-3-at-10.96.0.1", "stick-turn-3-at-10.96.0.1-tcp-80"} {
		if got, ok := classNamed(name); ok {
			t.Errorf("%q names %v", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	e := element{key{set: setID{kind: backends}, dest: destOf(netip.MustParseAddr("10.0.0.1"), 80, routing.TCP), slot: 3},
		value{to: netip.MustParseAddrPort("10.0.0.2:8080")}}
	spelled := encodeElements([]op{{add, e}})[0]
	f.Add(byte(backends), spelled.Key, spelled.KeyEnd, spelled.Data)
	f.Fuzz(func(t *testing.T, k byte, key, end, data []byte) {
		set := setID{kind: kind(k%byte(kinds-1)) + 1}
		for _, family := range families {
			e, ok := decodeElement(family, set, nftables.Element{Key: key, KeyEnd: end, Data: data})
			if ok && e.set != set {
				t.Errorf("an element of %v in %v", e.set, set)
			}
		}
	})
}

// What is written is read back as it was.
func TestEncodeDecode(t *testing.T) {
	client := netip.MustParsePrefix("192.0.2.0/24")
	for _, addr := range []string{"10.0.0.1", "fd00::1"} {
		at := destOf(netip.MustParseAddr(addr), 80, routing.SCTP)
		to := netip.AddrPortFrom(netip.MustParseAddr(addr).Next(), 8080)
		if at.Addr.Addr().Is6() {
			client = netip.MustParsePrefix("2001:db8::/33")
		}
		for _, e := range []element{
			{key{set: setID{kind: addresses}, dest: routing.Dest{Addr: netip.AddrPortFrom(at.Addr.Addr(), 0)}}, value{}},
			{key{set: setID{kind: services}, dest: at}, value{slots: 300}},
			{key{set: setID{kind: backends}, dest: at, slot: 70000}, value{to: to}},
			{key{set: setID{kind: chains}, dest: at}, value{chain: "hash-4096"}},
			{key{set: setID{sticky, 60}, dest: at}, value{to: to}},
			{key{set: setID{kind: members}, dest: at, to: to}, value{}},
			{key{set: setID{kind: restricted}, dest: at}, value{}},
			{key{set: setID{kind: allowed}, dest: at, from: client}, value{}},
		} {
			got, ok := decodeElement(e.family(), e.set, encodeElements([]op{{add, e}})[0])
			if !ok || got != e {
				t.Errorf("%v is read back as %v", e, got)
			}
		}
	}
}

// Applied one at a time, the ops of a change never let a number of slots stand that has not all its backends, nor a
// place without its ranges.
func TestOrderOfOps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	at := destOf(netip.MustParseAddr("10.96.0.1"), 80, routing.TCP)
	var had []element
	var places []place
	for range 200 {
		f := routing.Frontend{Key: routing.Key{Kind: routing.LoadBalancer, Addr: at.Addr.Addr(), Port: 80,
			Proto: routing.TCP}}
		f.Inside = routing.Pool{Backends: backendsOf(r, r.IntN(12)), Empty: routing.Reject}
		f.Outside = f.Inside
		f.Policy = routing.Policies()[r.IntN(4)]
		if r.IntN(2) == 0 {
			f.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}
		c := compile([]routing.Frontend{f}, places)
		now := map[key]value{}
		for _, e := range had {
			now[e.key] = e.value
		}
		ops := diff(had, c.elements)
		for i, o := range ops {
			if o.verb == remove {
				delete(now, o.key)
			} else {
				now[o.key] = o.value
			}
			if len(ops) < 200 || i%331 == 0 || i > len(ops)-10 { // the table of source-hash has many slots
				checkWhole(t, now, at, len(f.Allow) > 0)
			}
		}
		had, places = c.elements, c.places
	}
}

func checkWhole(t *testing.T, now map[key]value, at routing.Dest, restrict bool) {
	t.Helper()
	v, there := now[key{set: setID{kind: services}, dest: at}]
	if !there {
		return
	}
	if v.slots == byChain {
		lead, ok := now[key{set: setID{kind: chains}, dest: at}]
		c, ours := classNamed(lead.chain)
		if !ok || !ours {
			t.Fatalf("the place is to have a chain, and has %q", lead.chain)
		}
		v.slots = c.slots
	}
	for i := range v.slots {
		if _, ok := now[key{set: setID{kind: backends}, dest: at, slot: uint32(i)}]; !ok {
			t.Fatalf("there are to be %d slots, and slot %d is empty", v.slots, i)
		}
	}
	_, restricted := now[key{set: setID{kind: restricted}, dest: at}]
	_, allowed := now[key{set: setID{kind: allowed}, dest: at, from: netip.MustParsePrefix("192.0.2.0/24")}]
	if restricted && restrict && !allowed {
		t.Fatal("it is restricted before anybody is allowed")
	}
}
