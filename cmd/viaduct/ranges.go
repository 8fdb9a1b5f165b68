package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"viaduct/internal/apiserver/allocation"
)

// loopback is the only place for addresses that this process serves, while it does so without privilege.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// cidrs is a flag whose value is one address range, or one of each family: 10.96.0.0/16,fd00:96::/112.
type cidrs struct{ value *[]netip.Prefix }

func (c cidrs) String() string {
	if c.value == nil {
		return ""
	}
	var list []string
	for _, p := range *c.value {
		list = append(list, p.String())
	}
	return strings.Join(list, ",")
}
func (c cidrs) Type() string { return "cidr[,cidr]" }
func (c cidrs) Set(s string) error {
	var list []netip.Prefix
	for _, text := range strings.Split(s, ",") {
		var p netip.Prefix
		if err := (cidr{&p}).Set(text); err != nil {
			return err
		}
		list = append(list, p)
	}
	if len(list) > 2 || len(list) == 2 && list[0].Addr().Is4() == list[1].Addr().Is4() {
		return errors.New("want one range, or one IPv4 and one IPv6 range, the primary first")
	}
	*c.value = list
	return nil
}

// portRange is a flag whose value is a range of ports, both ends included.
type portRange struct{ value *allocation.PortRange }

func (r portRange) String() string {
	if r.value == nil {
		return ""
	}
	return r.value.String()
}
func (r portRange) Type() string { return "port-port" }
func (r portRange) Set(s string) error {
	from, to, _ := strings.Cut(s, "-")
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || first == 0 || first > last {
		return errors.New("want a range of ports such as 30000-32767")
	}
	*r.value = allocation.PortRange{First: int32(first), Last: int32(last)}
	return nil
}

// addressRange is a flag's range of addresses, and whether this process makes them answer; if it does not, somebody else may, and they
// may be anywhere.
type addressRange struct {
	flag   string
	prefix netip.Prefix
	served bool
	ipv6   bool // it may be of that family
}

// serviceRanges are what the flag --service-cidr holds.
func serviceRanges(prefixes []netip.Prefix, served bool) []addressRange {
	var ranges []addressRange
	for _, prefix := range prefixes {
		ranges = append(ranges, addressRange{"--service-cidr", prefix, served, true})
	}
	return ranges
}

func podRange(prefix netip.Prefix, served bool) addressRange {
	return addressRange{"--pod-cidr", prefix, served, false}
}

// checkRanges says why a set of address ranges cannot be used, or nil.
func checkRanges(services []addressRange, pod addressRange) error {
	for _, r := range append(slices.Clone(services), pod) {
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, r := range services {
		if r.prefix.Overlaps(pod.prefix) {
			return fmt.Errorf("%s %s and %s %s overlap: an address must be either a Service's or a Pod's", r.flag, r.prefix, pod.flag, pod.prefix)
		}
	}
	return nil
}

// checkServiceRanges is checkRanges for a server alone.
func checkServiceRanges(services []addressRange) error {
	for _, r := range services {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

// The bounds of a range: that of IPv6 is from a /64, as many addresses as can be counted, to a /124.
const (
	longestIPv4  = 28
	shortestIPv6 = 64
	longestIPv6  = 124
)

// check says why a range cannot be used, or nil: it must hold enough addresses to be useful, and lie in 127.0.0.0/8 if it is served here.
func (r addressRange) check() error {
	p, localhost := r.prefix, netip.MustParseAddr("127.0.0.1")
	if p.Addr().Is6() {
		localhost = netip.IPv6Loopback()
	}
	switch {
	case r.served && (!loopback.Overlaps(p) || p.Bits() < loopback.Bits()):
		return fmt.Errorf("%s %s is not inside 127.0.0.0/8: this version serves loopback addresses only", r.flag, p)
	case p.Addr().Is6() && !r.ipv6:
		return fmt.Errorf("%s %s is not an IPv4 range: this version has no other", r.flag, p)
	case p.Addr().Is6() && p.Bits() < shortestIPv6:
		return fmt.Errorf("%s %s is too large: want a /%d or smaller", r.flag, p, shortestIPv6)
	case p.Addr().Is6() && p.Bits() > longestIPv6:
		return fmt.Errorf("%s %s is too small: want a /%d or wider", r.flag, p, longestIPv6)
	case p.Addr().Is4() && p.Bits() > longestIPv4:
		return fmt.Errorf("%s %s is too small: want a /%d or wider", r.flag, p, longestIPv4)
	case p.Contains(localhost):
		return fmt.Errorf("%s %s contains %s, which belongs to everything else on this host", r.flag, p, localhost)
	}
	return nil
}
