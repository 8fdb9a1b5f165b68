package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// Dump lists all that the tables of the calling thread's network namespace hold, a line for each thing, sorted.
func Dump() (string, error) {
	c, err := nftables.Open()
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	var lines []string
	for _, f := range families {
		have, err := readTable(c, f)
		if err != nil {
			return "", err
		}
		for name, one := range have.chains {
			lines = append(lines, fmt.Sprintf("%s chain %s %v", f, name, one.marks))
		}
		for name := range have.sets {
			lines = append(lines, fmt.Sprintf("%s set %s", f, name))
			set, ours := setNamed(name)
			if !ours {
				continue
			}
			err := readSet(c, f, set, func(e element) {
				lines = append(lines, fmt.Sprintf("%s set %s %v %d %v %v = %d %v", f, name, e.dest, e.slot, e.key.to, e.from,
					e.slots, e.value.to))
			})
			if err != nil {
				return "", err
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// WithoutClasses leaves out of a dump what is made on demand and stays.
func WithoutClasses(dump string) string {
	var rest []string
	for _, line := range strings.Split(dump, "\n") {
		words := strings.Fields(line)
		_, class := classNamed(words[2])
		if class || strings.Contains(words[2], "sticky-") || words[1] == "chain" && grows(words[2]) {
			continue
		}
		rest = append(rest, line)
	}
	return strings.Join(rest, "\n")
}

// Hands are what somebody else may do to the tables of the calling thread's network namespace.
var Hands = map[string]func() error{
	"deletes a table":   byHand(tableOf(nftables.IPv4).Delete()),
	"flushes the rules": byHand(tableOf(nftables.IPv4).Flush()),
	"flushes a chain":   byHand(tableOf(nftables.IPv6).FlushChain(chainServices)),
	"adds a rule": byHand(tableOf(nftables.IPv4).AddRule(newLayout(nftables.IPv4).rule("by hand",
		func(a *asm) { a.Drop() }).kernelRule(chainServices))),
	"empties a map":            byHand(tableOf(nftables.IPv4).FlushSet(setID{kind: services}.name())),
	"empties the Pods' ranges": byHand(tableOf(nftables.IPv6).FlushSet(setID{kind: pods}.name())),
	"removes one element": func() error {
		c, err := nftables.Open()
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		var one []op
		err = readSet(c, nftables.IPv6, setID{kind: backends}, func(e element) { one = []op{{remove, e}} })
		if err != nil || one == nil {
			return errors.Join(err, errors.New("there is no backend to remove"))
		}
		return c.Commit([]nftables.Message{deleteElements(one)})
	},
	"adds an element": byHand(addElements([]op{{add, element{
		key{set: setID{kind: services}, dest: destOf(netip.MustParseAddr("10.96.9.9"), 80, routing.TCP)},
		value{slots: 1}}}})),
}

func byHand(m nftables.Message) func() error {
	return func() error {
		c, err := nftables.Open()
		if err != nil {
			return err
		}
		return errors.Join(c.Commit([]nftables.Message{m}), c.Close())
	}
}

// OtherTable makes a table that is none of ours.
func OtherTable() error {
	return byHand(nftables.Table{Family: nftables.IPv4, Name: "others"}.Add())()
}

// destOf makes a Dest of its parts.
func destOf(addr netip.Addr, port uint16, proto routing.Proto) routing.Dest {
	return routing.Dest{Addr: netip.AddrPortFrom(addr, port), Proto: proto}
}
