// Package addressrange has the rules for the address ranges of Services and Pods: which ranges this host can serve, how
// large they may be, and which ranges may be used together. It also reserves loopback ranges for temporary use.
package addressrange

import (
	"fmt"
	"net/netip"
	"slices"
)

// loopback holds the addresses that every process of a host may listen on without privilege.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// InLoopback reports whether p is a part of 127.0.0.0/8.
func InLoopback(p netip.Prefix) bool { return loopback.Overlaps(p) && p.Bits() >= loopback.Bits() }

// Served says which process makes the addresses of a range reachable.
type Served uint8

const (
	Elsewhere    Served = iota // not this process; the range may be anywhere
	Here                       // this process, as loopback addresses or by the kernel
	LoopbackOnly               // this process, and only as loopback addresses
)

// A Range is the value of a command-line flag.
type Range struct {
	Flag   string // the flag's name with its dashes, for error messages
	Prefix netip.Prefix
	Served Served
}

// Services returns a Range of the flag --service-cidr for each prefix.
func Services(prefixes []netip.Prefix, served Served) []Range {
	return ranges("--service-cidr", prefixes, served)
}

// Pods returns a Range of the flag --pod-cidr for each prefix.
func Pods(prefixes []netip.Prefix, served Served) []Range {
	return ranges("--pod-cidr", prefixes, served)
}

func ranges(flag string, prefixes []netip.Prefix, served Served) (list []Range) {
	for _, p := range prefixes {
		list = append(list, Range{flag, p, served})
	}
	return list
}

// Check checks every range and every pair of a Service range and a Pod range. The error names the flag and the rule
// that is broken.
func Check(services, pods []Range) error {
	if err := CheckEach(slices.Concat(services, pods)); err != nil {
		return err
	}
	for _, s := range services {
		for _, p := range pods {
			if err := checkPair(s, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPair requires that two ranges have no address in common. If this process serves both, they must also be of one
// kind, because no connection leads from a loopback address to another address or back.
func checkPair(s, p Range) error {
	if s.Prefix.Overlaps(p.Prefix) {
		return fmt.Errorf("%s %s and %s %s overlap: an address belongs either to a Service or to a Pod", s.Flag, s.Prefix,
			p.Flag, p.Prefix)
	}
	if s.Served == Elsewhere || p.Served == Elsewhere || InLoopback(s.Prefix) == InLoopback(p.Prefix) {
		return nil
	}
	outside, inside := s, p
	if InLoopback(s.Prefix) {
		outside, inside = p, s
	}
	return fmt.Errorf("%s %s is not inside 127.0.0.0/8, but %s %s is: choose both inside (Pods share this host's "+
		"network) "+
		"or both outside (each Pod has its own network)", outside.Flag, outside.Prefix, inside.Flag, inside.Prefix)
}

// CheckEach checks each range alone and returns the first error.
func CheckEach(list []Range) error {
	for _, r := range list {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

// The limits of a prefix length. An IPv6 range has at most 2^64 addresses, which is what the allocator can count.
const (
	maxBitsIPv4 = 28
	minBitsIPv6 = 64
	maxBitsIPv6 = 124
)

func (r Range) check() error {
	if err := r.checkServed(); err != nil {
		return err
	}
	return r.checkSize()
}

func (r Range) checkServed() error {
	switch {
	case r.Served == LoopbackOnly && !InLoopback(r.Prefix):
		return fmt.Errorf("%s %s is not inside 127.0.0.0/8: only loopback addresses can be served without --proxy=nft",
			r.Flag,
			r.Prefix)
	case r.Served != Elsewhere && loopback.Overlaps(r.Prefix) && !InLoopback(r.Prefix):
		return fmt.Errorf("%s %s is not inside 127.0.0.0/8, and contains it", r.Flag, r.Prefix)
	}
	return nil
}

func (r Range) checkSize() error {
	p, localhost := r.Prefix, netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if p.Addr().Is6() {
		localhost = netip.IPv6Loopback()
	}
	switch {
	case p.Addr().Is6() && p.Bits() < minBitsIPv6:
		return fmt.Errorf("%s %s is too large: want a /%d or smaller", r.Flag, p, minBitsIPv6)
	case p.Addr().Is6() && p.Bits() > maxBitsIPv6:
		return fmt.Errorf("%s %s is too small: want a /%d or larger", r.Flag, p, maxBitsIPv6)
	case p.Addr().Is4() && p.Bits() > maxBitsIPv4:
		return fmt.Errorf("%s %s is too small: want a /%d or larger", r.Flag, p, maxBitsIPv4)
	case p.Contains(localhost):
		return fmt.Errorf("%s %s contains %s, which other programs of this host use", r.Flag, p, localhost)
	}
	return nil
}
