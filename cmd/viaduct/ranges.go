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

// loopback is where addresses can be served without privilege: every process of the host may listen on them.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

func inLoopback(p netip.Prefix) bool { return loopback.Overlaps(p) && p.Bits() >= loopback.Bits() }

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

// serving says who makes the addresses of a range answer.
type serving uint8

const (
	servedElsewhere serving = iota // not this process: they may be anything
	servedHere                     // this process: as loopback addresses, or by the kernel
	servedLoopback                 // this process, and only as loopback addresses
)

// addressRange is a flag's range of addresses.
type addressRange struct {
	flag   string
	prefix netip.Prefix
	serving
}

func rangesFor(flag string, prefixes []netip.Prefix, by serving) (list []addressRange) {
	for _, p := range prefixes {
		list = append(list, addressRange{flag, p, by})
	}
	return list
}

func serviceRanges(prefixes []netip.Prefix, by serving) []addressRange {
	return rangesFor("--service-cidr", prefixes, by)
}

func podRanges(prefixes []netip.Prefix, by serving) []addressRange {
	return rangesFor("--pod-cidr", prefixes, by)
}

// checkRanges says why a set of address ranges cannot be used together, or nil.
func checkRanges(services, pods []addressRange) error {
	if err := checkEach(slices.Concat(services, pods)); err != nil {
		return err
	}
	for _, s := range services {
		for _, p := range pods {
			if s.prefix.Overlaps(p.prefix) {
				return fmt.Errorf("%s %s and %s %s overlap: an address must be either a Service's or a Pod's", s.flag, s.prefix,
					p.flag, p.prefix)
			}
			if s.serving != servedElsewhere && p.serving != servedElsewhere && inLoopback(s.prefix) != inLoopback(p.prefix) {
				return mixed(s, p)
			}
		}
	}
	return nil
}

// mixed tells that of two ranges only one is in 127.0.0.0/8: connections are redirected from neither to the other.
func mixed(a, b addressRange) error {
	if inLoopback(a.prefix) {
		a, b = b, a
	}
	return fmt.Errorf("%s %s is not inside 127.0.0.0/8, but %s %s is: choose both inside, where Pods share this host's "+
		"network, or both outside, where each has its own",
		a.flag, a.prefix, b.flag, b.prefix)
}

func checkEach(ranges []addressRange) error {
	for _, r := range ranges {
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

// check says why a range cannot be used, or nil: it must hold enough addresses to be useful, and belong to nobody else.
func (r addressRange) check() error {
	p, localhost := r.prefix, netip.MustParseAddr("127.0.0.1")
	if p.Addr().Is6() {
		localhost = netip.IPv6Loopback()
	}
	switch {
	case r.serving == servedLoopback && !inLoopback(p):
		return fmt.Errorf("%s %s is not inside 127.0.0.0/8: without the kernel's data path (--proxy=nft) only loopback "+
			"addresses can be served", r.flag, p)
	case r.serving != servedElsewhere && loopback.Overlaps(p) && !inLoopback(p):
		return fmt.Errorf("%s %s is not inside 127.0.0.0/8, and not outside", r.flag, p)
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
