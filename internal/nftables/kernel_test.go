package nftables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread in a network namespace of its own, or skips the test without the privilege.
func inNamespace(tb testing.TB, f func(c *Conn)) {
	tb.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			var c *Conn
			if c, err = Open(); err == nil {
				f(c)
				err = c.Close()
			}
		}
		result <- err
	}()
	err := <-result
	if errors.Is(err, unix.EPERM) {
		tb.Skipf("needs root, to make network namespaces: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

var families = []Family{IPv4, IPv6}

// check stops nothing: f runs on another goroutine than the test.
func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	}
}

func TestTableIsListedAsItWasMade(t *testing.T) {
	hook := &Hook{Type: "nat", Number: unix.NF_INET_LOCAL_OUT, Priority: -100}
	inNamespace(t, func(c *Conn) {
		for _, f := range families {
			table := Table{f, "viaduct-test"}
			e := Exprs{Family: f}
			e.Jump("second")
			check(t, c.Commit([]Message{
				table.Add(), table.AddChain(Chain{Name: "first", Hook: hook}), table.AddChain(Chain{Name: "second"}),
				table.AddRule(Rule{Chain: "first", Comment: "one", Exprs: e.Attrs}),
				table.AddRule(Rule{Chain: "first", Comment: "two"}),
				Table{f, "other"}.Add(), Table{f, "other"}.AddChain(Chain{Name: "third"}),
			}))
			tables, err := c.Tables(f)
			if slices.Sort(tables); err != nil || !slices.Equal(tables, []string{"other", "viaduct-test"}) {
				t.Errorf("%s: tables %q, %v", f, tables, err)
			}
			chains, err := c.Chains(table)
			if err != nil || len(chains) != 2 || chains[0].Name != "first" || chains[0].Hook == nil ||
				*chains[0].Hook != *hook || chains[1].Name != "second" || chains[1].Hook != nil {
				t.Errorf("%s: chains %v, %v", f, chains, err)
			}
			rules, err := c.Rules(table)
			if err != nil || len(rules) != 2 || rules[0].Chain != "first" || rules[0].Comment != "one" ||
				rules[0].Target != "second" || rules[1].Comment != "two" || rules[1].Target != "" {
				t.Errorf("%s: rules %v, %v", f, rules, err)
			}
		}
	})
}

func TestRulesAndChainsAreRemoved(t *testing.T) {
	inNamespace(t, func(c *Conn) {
		table := Table{IPv4, "viaduct-test"}
		add := func(chain, comment string) Message { return table.AddRule(Rule{Chain: chain, Comment: comment}) }
		check(t, c.Commit([]Message{table.Add(), table.AddChain(Chain{Name: "a"}), table.AddChain(Chain{Name: "b"}),
			add("a", "a1"), add("a", "a2"), add("b", "b1"), add("b", "b2")}))
		comments := func() (list []string) {
			rules, err := c.Rules(table)
			check(t, err)
			for _, r := range rules {
				list = append(list, r.Comment)
			}
			return list
		}
		rules, err := c.Rules(table)
		check(t, err)
		for _, step := range []struct {
			name    string
			message Message
			left    []string
		}{
			{"one rule", table.DeleteRule("a", rules[0].Handle), []string{"a2", "b1", "b2"}},
			{"a chain's rules", table.FlushChain("b"), []string{"a2"}},
			{"an empty chain", table.DeleteChain("b"), []string{"a2"}},
			{"all rules", table.Flush(), nil},
		} {
			check(t, c.Commit([]Message{step.message}))
			if got := comments(); !slices.Equal(got, step.left) {
				t.Errorf("after removing %s: %q, want %q", step.name, got, step.left)
			}
		}
		check(t, c.Commit([]Message{table.Delete()}))
		if chains, err := c.Chains(table); len(chains) > 0 || err != nil {
			t.Errorf("chains of a table that is gone: %v, %v", chains, err)
		}
		if rules, err := c.Rules(table); len(rules) > 0 || err != nil {
			t.Errorf("rules of a table that is gone: %v, %v", rules, err)
		}
		if sets, err := c.Sets(table); len(sets) > 0 || err != nil {
			t.Errorf("sets of a table that is gone: %v, %v", sets, err)
		}
	})
}

// testSets are one of each kind that the package knows.
func testSets(f Family) []Set {
	return []Set{
		{Name: "addresses", Key: []DataType{f.AddrType()}},
		{Name: "map", Key: []DataType{TypeInetProto, TypeInetService}, Data: []DataType{f.AddrType(), TypeInetService}},
		{Name: "ranges", Key: []DataType{f.AddrType()}, Flags: unix.NFT_SET_INTERVAL},
		{Name: "concat", Key: []DataType{TypeInetService, TypeMark}, Flags: unix.NFT_SET_INTERVAL | SetConcat},
		{Name: "learned", Key: []DataType{TypeMark}, Data: []DataType{TypeMark},
			Flags: unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL, Limit: 100},
	}
}

func testElements(f Family) map[string][]Element {
	addr := func(last byte) []byte { return append(make([]byte, f.AddrSize()-1), last) }
	return map[string][]Element{
		"addresses": {{Key: addr(1), Comment: "the first"}, {Key: addr(2)}},
		"map":       {{Key: []byte{6, 0, 0, 0, 0, 80, 0, 0}, Data: append(addr(9), 0, 81, 0, 0), Comment: "web"}},
		"ranges":    {{Key: addr(4)}, {Key: addr(8), IntervalEnd: true}},
		"concat":    {{Key: []byte{0, 1, 0, 0, 1, 0, 0, 0}, KeyEnd: []byte{0, 9, 0, 0, 1, 0, 0, 0}}},
	}
}

func sameElement(a, b Element) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.KeyEnd, b.KeyEnd) && bytes.Equal(a.Data, b.Data) &&
		a.Comment == b.Comment && a.IntervalEnd == b.IntervalEnd
}

// read lists a set, sorted by key. Older kernels end the last interval with a key of zeros, which is left out.
func read(tb testing.TB, c *Conn, t Table, set string) (list []Element) {
	check(tb, c.Elements(t, set, func(e Element) {
		if e.IntervalEnd && bytes.Count(e.Key, []byte{0}) == len(e.Key) {
			return
		}
		e.Key, e.KeyEnd, e.Data = bytes.Clone(e.Key), bytes.Clone(e.KeyEnd), bytes.Clone(e.Data)
		list = append(list, e)
	}))
	slices.SortFunc(list, func(a, b Element) int { return bytes.Compare(a.Key, b.Key) })
	return list
}

func TestElementsAreListedAsTheyWereAdded(t *testing.T) {
	inNamespace(t, func(c *Conn) {
		for _, f := range families {
			table := Table{f, "viaduct-test"}
			list := []Message{table.Add()}
			want := map[string]uint32{}
			for i, s := range testSets(f) {
				list = append(list, table.AddSet(s, uint32(i)+1))
				want[s.Name] = s.KernelFlags()
			}
			for set, elements := range testElements(f) {
				list = append(list, table.AddElements(set, elements))
			}
			check(t, c.Commit(list))
			if got, err := c.Sets(table); err != nil || !maps.Equal(got, want) {
				t.Errorf("%s: sets %v, %v, want %v", f, got, err, want)
			}
			for set, elements := range testElements(f) {
				if got := read(t, c, table, set); !slices.EqualFunc(got, elements, sameElement) {
					t.Errorf("%s: set %s has %v, want %v", f, set, got, elements)
				}
				check(t, c.Commit([]Message{table.DeleteElements(set, elements)}))
				if got := read(t, c, table, set); len(got) > 0 {
					t.Errorf("%s: set %s has %v after they were deleted", f, set, got)
				}
			}
			check(t, c.Commit([]Message{table.DeleteSet("map")}))
			if got := read(t, c, table, "map"); len(got) > 0 {
				t.Errorf("%s: a set that is gone has %v", f, got)
			}
		}
	})
}

// numbered are n elements of the set "addresses" for IPv4.
func numbered(n int) (list []Element) {
	for i := range n {
		list = append(list, Element{Key: binary.BigEndian.AppendUint32(nil, uint32(i)), Comment: fmt.Sprint("element ", i)})
	}
	return list
}

func TestManyElements(t *testing.T) {
	inNamespace(t, func(c *Conn) {
		table, want := Table{IPv4, "viaduct-test"}, numbered(5*MaxElements)
		set := testSets(IPv4)[0]
		set.Limit = uint32(len(want)) // the kernel does not resize such a set, so it lists every element once
		check(t, c.Commit([]Message{table.Add(), table.AddSet(set, 1)}))
		for some := range slices.Chunk(want, MaxElements) {
			check(t, c.Commit([]Message{table.AddElements("addresses", some)}))
		}
		if got := read(t, c, table, "addresses"); !slices.EqualFunc(got, want, sameElement) {
			t.Errorf("%d elements are not listed as they were added", len(want))
		}
		check(t, c.Commit([]Message{table.FlushSet("addresses")}))
		if got := read(t, c, table, "addresses"); len(got) > 0 {
			t.Errorf("%d elements are left after a flush", len(got))
		}
	})
}

// The largest message has MaxElements elements with the longest keys, data and comments.
func TestLargestMessage(t *testing.T) {
	long := string(bytes.Repeat([]byte("c"), 64))
	var list []Element
	for range MaxElements {
		list = append(list, Element{Key: make([]byte, 36), Data: make([]byte, 20), Comment: long})
	}
	body := Table{IPv6, "viaduct-test"}.AddElements("backends", list).body
	n := 0
	decodeElements(body, func(Element) { n++ })
	if n != MaxElements {
		t.Errorf("%d elements are read back, want %d", n, MaxElements)
	}
}

func TestARefusedTransactionNamesItsMessages(t *testing.T) {
	inNamespace(t, func(c *Conn) {
		table := Table{IPv4, "viaduct-test"}
		err := c.Commit([]Message{
			table.Add(),
			table.AddSet(testSets(IPv4)[1], 1),
			table.DeleteChain("missing"),
			table.AddChain(Chain{Name: "good"}),
			table.AddElements("map", []Element{{Key: []byte{1}}}),
			table.DeleteSet("missing"),
		})
		want := CommitError{{2, unix.ENOENT}, {4, unix.EINVAL}, {5, unix.ENOENT}}
		var got CommitError
		if !errors.As(err, &got) || !slices.Equal(got, want) {
			t.Errorf("error %v, want that of the messages %v", got, want)
		}
		if !errors.Is(err, unix.ENOENT) || !errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EBUSY) {
			t.Errorf("errors.Is does not find the errnos of %v", err)
		}
		if tables, err := c.Tables(IPv4); len(tables) > 0 || err != nil {
			t.Errorf("a refused transaction made %q, %v", tables, err)
		}
		check(t, c.Commit([]Message{table.Add()})) // the Conn is usable afterwards
		check(t, c.Commit(nil))
	})
}

func TestATransactionWithoutPrivilege(t *testing.T) {
	inNamespace(t, func(c *Conn) {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		check(t, unix.Capset(&header, &none[0])) // of this thread, which ends with the test
		err := c.Commit([]Message{Table{IPv4, "viaduct-test"}.Add()})
		var got CommitError
		if want := (CommitError{{-1, unix.EPERM}}); !errors.As(err, &got) || !slices.Equal(got, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		if _, err := c.Tables(IPv4); !errors.Is(err, unix.EPERM) {
			t.Errorf("listing without privilege: %v", err)
		}
	})
}

func TestMonitor(t *testing.T) {
	inNamespace(t, func(own *Conn) {
		m, err := NewMonitor(own)
		check(t, err)
		other, err := Open()
		check(t, err)
		watched, unrelated := Table{IPv6, "watched"}, Table{IPv4, "unrelated"}
		check(t, own.Commit([]Message{watched.Add()}))
		check(t, other.Commit([]Message{unrelated.Add()}))
		if changed, err := m.Wait(watched.Name); changed || err != nil {
			t.Errorf("a change of its own, or that of another table, is reported: %v", err)
		}
		check(t, other.Commit([]Message{watched.AddChain(Chain{Name: "c"})}))
		changed := false
		for tries := 0; !changed && tries < 10; tries++ { // the kernel sends several notifications for a transaction
			changed, err = m.Wait(watched.Name)
			check(t, err)
		}
		if !changed {
			t.Error("a change by another socket is not reported")
		}
		check(t, errors.Join(m.Close(), other.Close()))
	})
}

// Lost notifications may have been about any table.
func TestMonitorReportsALoss(t *testing.T) {
	inNamespace(t, func(own *Conn) {
		m, err := NewMonitor(own)
		check(t, err)
		check(t, unix.SetsockoptInt(m.conn.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)) // the kernel's least size
		other, err := Open()
		check(t, err)
		for range 100 {
			check(t, other.Commit([]Message{Table{IPv4, "unrelated"}.Add(), Table{IPv4, "unrelated"}.Delete()}))
		}
		if changed, err := m.Wait("watched"); !changed || err != nil {
			t.Errorf("changed %v, %v", changed, err)
		}
		check(t, errors.Join(m.Close(), other.Close()))
	})
}

// BenchmarkCommit measures the smallest change of a set: one element more, and one less.
func BenchmarkCommit(b *testing.B) {
	inNamespace(b, func(c *Conn) {
		table := Table{IPv4, "viaduct-test"}
		check(b, c.Commit([]Message{table.Add(), table.AddSet(testSets(IPv4)[0], 1)}))
		one := numbered(1)
		for b.Loop() {
			check(b, c.Commit([]Message{table.AddElements("addresses", one)}))
			check(b, c.Commit([]Message{table.DeleteElements("addresses", one)}))
		}
	})
}

// BenchmarkElements measures the listing of a set, for each element of it.
func BenchmarkElements(b *testing.B) {
	inNamespace(b, func(c *Conn) {
		table, list := Table{IPv4, "viaduct-test"}, numbered(25*MaxElements)
		set := testSets(IPv4)[0]
		set.Limit = uint32(len(list)) // the kernel does not resize such a set, so it lists every element once
		check(b, c.Commit([]Message{table.Add(), table.AddSet(set, 1)}))
		for some := range slices.Chunk(list, MaxElements) {
			check(b, c.Commit([]Message{table.AddElements("addresses", some)}))
		}
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			check(b, c.Elements(table, "addresses", func(Element) { n++ }))
			if n < len(list) {
				b.Errorf("%d elements are listed, want %d", n, len(list))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/element")
	})
}
