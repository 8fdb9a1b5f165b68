package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

// Dump lists all that the tables of the calling thread's network namespace hold, a line for each thing, sorted.
func Dump() (string, error) {
	s, err := openSocket()
	if err != nil {
		return "", err
	}
	defer func() { _ = s.close() }()
	var lines []string
	for _, f := range families {
		have, err := s.read(f)
		if err != nil {
			return "", err
		}
		for name, c := range have.chains {
			lines = append(lines, fmt.Sprintf("%s chain %s %v", f, name, c.marks))
		}
		for name := range have.sets {
			lines = append(lines, fmt.Sprintf("%s set %s", f, name))
			set, ours := setNamed(name)
			if !ours {
				continue
			}
			err := s.elements(f, set, func(e element) {
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
	"deletes a table":   byHand(ip4.deleteTable()),
	"flushes the rules": byHand(ip4.flushRules("")),
	"flushes a chain":   byHand(ip6.flushRules(chainServices)),
	"adds a rule": byHand(ip4.newRule(chainServices, newLayout(ip4).rule("by hand",
		func(a *asm) { a.drop() }))),
	"empties a map":            byHand(ip4.flushSet(setID{kind: services})),
	"empties the Pods' ranges": byHand(ip6.flushSet(setID{kind: pods})),
	"removes one element": func() error {
		s, err := openSocket()
		if err != nil {
			return err
		}
		defer func() { _ = s.close() }()
		var one []op
		err = s.elements(ip6, setID{kind: backends}, func(e element) { one = []op{{remove, e}} })
		if err != nil || one == nil {
			return errors.Join(err, errors.New("there is no backend to remove"))
		}
		return s.commit([]message{elementsMessage(unix.NFT_MSG_DELSETELEM, routing.Name{}, one)})
	},
	"adds an element": byHand(elementsMessage(unix.NFT_MSG_NEWSETELEM, routing.Name{}, []op{{add, element{
		key{set: setID{kind: services}, dest: destOf(netip.MustParseAddr("10.96.9.9"), 80, routing.TCP)},
		value{slots: 1}}}})),
}

func byHand(m message) func() error {
	return func() error {
		s, err := openSocket()
		if err != nil {
			return err
		}
		return errors.Join(s.commit([]message{m}), s.close())
	}
}

// OtherTable makes a table that is none of ours.
func OtherTable() error {
	m := message{kind: unix.NFT_MSG_NEWTABLE, flags: unix.NLM_F_CREATE, fam: ip4}
	m.body.text(unix.NFTA_TABLE_NAME, "others")
	return byHand(m)()
}
