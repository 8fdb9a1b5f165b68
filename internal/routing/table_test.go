package routing

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// entry is a Service of age days with one Frontend for each address, all with the one backend to.
func entry(name string, age int, to string, at ...string) Entry {
	e := Entry{
		Service: Name{Namespace: "shop", Name: name},
		Created: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -age),
	}
	for _, a := range at {
		ap := netip.MustParseAddrPort(a)
		pool := Pool{Empty: Reject, Why: None}
		if to != "" {
			pool = Pool{Backends: []Backend{{Addr: netip.MustParseAddrPort(to), Weight: 1}}, Empty: Reject, Why: All}
		}
		e.Frontends = append(e.Frontends, Frontend{
			Key: Key{ClusterIP, ap.Addr(), ap.Port(), TCP}, Service: Name{"shop", name, "http"}, Inside: pool, Outside: pool,
			Policy: Random,
		})
	}
	return e
}

func names(list []Name) []string {
	out := []string{}
	for _, n := range list {
		out = append(out, n.Name)
	}
	return out
}

func TestWithNamesWhatChanged(t *testing.T) {
	const at, other = "10.0.0.1:80", "10.0.0.2:80"
	for _, c := range []struct {
		name  string
		have  []Entry
		apply []Entry
		want  []string
		owner string // of at, after
	}{
		{"first", nil, []Entry{entry("a", 1, "10.1.0.1:1", at)}, []string{"a"}, "a"},
		{"the same again", []Entry{entry("a", 1, "10.1.0.1:1", at)}, []Entry{entry("a", 1, "10.1.0.1:1", at)}, []string{},
			"a"},
		{"another backend", []Entry{entry("a", 1, "10.1.0.1:1", at)}, []Entry{entry("a", 1, "10.1.0.2:1", at)}, []string{"a"},
			"a"},
		{"removed", []Entry{entry("a", 1, "10.1.0.1:1", at)}, []Entry{entry("a", 1, "")}, []string{"a"}, ""},
		{"removed, was not there", nil, []Entry{entry("a", 1, "")}, []string{}, ""},
		{"only the age changed", []Entry{entry("a", 1, "10.1.0.1:1", at)}, []Entry{entry("a", 2, "10.1.0.1:1", at)},
			[]string{}, "a"},
		{"a younger one claims it", []Entry{entry("a", 2, "", at)}, []Entry{entry("b", 1, "", at)}, []string{}, "a"},
		{"a younger one with an address of its own", []Entry{entry("a", 2, "", at)}, []Entry{entry("b", 1, "", at, other)},
			[]string{"b"}, "a"},
		{"an older one takes it", []Entry{entry("a", 2, "", at)}, []Entry{entry("b", 3, "", at)}, []string{"a", "b"}, "b"},
		{"of one age, by name", []Entry{entry("b", 1, "", at)}, []Entry{entry("a", 1, "", at)}, []string{"a", "b"}, "a"},
		{"the winner goes", []Entry{entry("a", 2, "", at), entry("b", 1, "", at)}, []Entry{entry("a", 2, "")},
			[]string{"a", "b"}, "b"},
		{"the winner moves", []Entry{entry("a", 2, "", at), entry("b", 1, "", at)}, []Entry{entry("a", 2, "", other)},
			[]string{"a", "b"}, "b"},
		{"the loser goes", []Entry{entry("a", 2, "", at), entry("b", 1, "", at)}, []Entry{entry("b", 1, "")}, []string{},
			"a"},
		{"two swap in one step", []Entry{entry("a", 2, "", at), entry("b", 1, "", other)}, []Entry{entry("a", 2, "", other),
			entry("b", 1, "", at)}, []string{"a", "b"}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := (&Table{}).With(c.have...)
			was := before.All()
			after, changed := before.With(c.apply...)
			if d := cmp.Diff(c.want, names(changed)); d != "" {
				t.Error(d)
			}
			f, _, ok := after.Lookup(Origin{}, netip.MustParseAddrPort(at), TCP)
			if f.Service.Name != c.owner || ok != (c.owner != "") {
				t.Errorf("%s is owned by %q", at, f.Service.Name)
			}
			if d := cmp.Diff(was, before.All(), netipOptions); d != "" {
				t.Error("the table before changed:", d)
			}
		})
	}
}

var netipOptions = cmp.Comparer(func(a, b Frontend) bool { return a.Equal(b) })

func TestTheLoserIsVisible(t *testing.T) {
	tab, _ := (&Table{}).With(entry("old", 2, "", "10.0.0.1:80"), entry("new", 1, "", "10.0.0.1:80", "10.0.0.2:80"))
	lost := tab.LostBy(Name{Namespace: "shop", Name: "new"})
	if len(lost) != 1 || lost[0].To.String() != "shop/old:http" || lost[0].Frontend.Dest().String() != "10.0.0.1:80/TCP" {
		t.Errorf("lost: %v", lost)
	}
	if got := tab.Of(Name{Namespace: "shop", Name: "new", Port: "any"}); len(got) != 1 || got[0].Port != 80 ||
		got[0].Addr.String() != "10.0.0.2" {
		t.Errorf("of new: %v", got)
	}
	if got := tab.LostBy(Name{Namespace: "shop", Name: "old"}); got != nil {
		t.Errorf("the winner lost %v", got)
	}
}

func TestTheZeroTable(t *testing.T) {
	var tab Table
	if _, _, ok := tab.Lookup(Origin{}, netip.MustParseAddrPort("10.0.0.1:80"), TCP); ok {
		t.Error("found something in nothing")
	}
	if tab.All() != nil || tab.Of(Name{}) != nil || tab.LostBy(Name{}) != nil || tab.Services() != nil {
		t.Error("the empty table is not empty")
	}
}

func TestLookupKnowsWhereAConnectionComesFrom(t *testing.T) {
	e := entry("a", 1, "10.1.0.1:1", "10.0.0.1:80")
	e.Frontends[0].Outside = Pool{Empty: Drop, Why: NoneLocal}
	e.Frontends[0].Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	tab, _ := (&Table{}).With(e)
	for _, c := range []struct {
		from Origin
		to   string
		p    Proto
		want Reason
		ok   bool
	}{
		{Origin{}, "10.0.0.1:80", TCP, All, true},
		{Origin{}, "[::ffff:10.0.0.1]:80", TCP, All, true},
		{Origin{Outside: true}, "10.0.0.1:80", TCP, NoneLocal, true},
		{Origin{Addr: netip.MustParseAddr("192.0.2.9")}, "10.0.0.1:80", TCP, All, true},
		{Origin{Addr: netip.MustParseAddr("::ffff:192.0.2.9")}, "10.0.0.1:80", TCP, All, true},
		{Origin{Addr: netip.MustParseAddr("198.51.100.9")}, "10.0.0.1:80", TCP, NotAllowed, true},
		{Origin{}, "10.0.0.1:80", UDP, "", false},
		{Origin{}, "10.0.0.1:81", TCP, "", false},
	} {
		f, pool, ok := tab.Lookup(c.from, netip.MustParseAddrPort(c.to), c.p)
		if ok != c.ok || pool.Why != c.want || ok != (f.Service.Name == "a") {
			t.Errorf("%+v to %s/%s: %v %v %v", c.from, c.to, c.p, f.Service, pool.Why, ok)
		}
	}
}

// The order in which Services arrive, one by one or all at once, leaves no trace.
func TestArrivalOrderLeavesNoTrace(t *testing.T) {
	var all []Entry
	for i := range 40 {
		all = append(all, entry(fmt.Sprint("s", i), i%5, "", fmt.Sprintf("10.0.0.%d:80", i%7), fmt.Sprintf("10.0.1.%d:80",
			i)))
	}
	atOnce, _ := (&Table{}).With(all...)
	oneByOne := &Table{}
	for i := range all {
		oneByOne, _ = oneByOne.With(all[(i*17+3)%len(all)])
	}
	if d := cmp.Diff(atOnce.All(), oneByOne.All(), netipOptions); d != "" {
		t.Error(d)
	}
	owned, lost := 0, 0
	for _, s := range atOnce.Services() {
		owned, lost = owned+len(atOnce.Of(s)), lost+len(atOnce.LostBy(s))
	}
	if owned != 47 || lost != 33 {
		t.Errorf("%d owned, %d lost; 40 Services claim 40 addresses alone and 7 together", owned, lost)
	}
}

func TestHides(t *testing.T) {
	client, here, there := netip.MustParseAddr("192.0.2.7"), Backend{Addr: netip.MustParseAddrPort("10.0.0.1:80"),
		Local: true}, Backend{Addr: netip.MustParseAddrPort("10.0.1.1:80")}
	for _, c := range []struct {
		name string
		snat bool
		from netip.Addr
		to   Backend
		want bool
	}{
		{"the way back leads through this node anyway", true, client, here, false},
		{"the way back would lead past this node", true, client, there, true},
		{"the client's address is to be kept", false, client, there, false},
		{"a backend that asks itself", false, here.Addr.Addr(), here, true},
		{"a backend that asks itself, elsewhere", false, there.Addr.Addr(), there, true},
		{"a client that is not known", false, netip.Addr{}, there, false},
	} {
		if got := (Pool{SNAT: c.snat}).Hides(Origin{Addr: c.from}, c.to); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
