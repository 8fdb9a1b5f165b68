package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// choice is a flag whose value is one of a list.
type choice struct {
	value   *string
	allowed []string
}

func newChoice(value *string, allowed ...string) *choice {
	return &choice{value: value, allowed: allowed}
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("want one of %s", strings.Join(c.allowed, ", "))
	}
	*c.value = s
	return nil
}

// cidr is a flag whose value is an address range such as 127.96.0.0/16.
type cidr struct{ value *netip.Prefix }

func (c cidr) String() string {
	if c.value == nil || !c.value.IsValid() {
		return ""
	}
	return c.value.String()
}
func (c cidr) Type() string { return "cidr" }
func (c cidr) Set(s string) error {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("want an address range such as 127.96.0.0/16")
	}
	if p != p.Masked() {
		return fmt.Errorf("has bits set after the first %d: want %s", p.Bits(), p.Masked())
	}
	*c.value = p
	return nil
}

// hostPort is a flag whose value is an IP address and a port; port 0 means any free one.
type hostPort struct{ value *string }

func (h hostPort) String() string { return *h.value }
func (h hostPort) Type() string   { return "ip:port" }
func (h hostPort) Set(s string) error {
	if _, err := netip.ParseAddrPort(s); err != nil {
		return fmt.Errorf("want an IP address and a port such as 127.0.0.1:7443")
	}
	*h.value = s
	return nil
}

// ipAddress is a flag whose value is an IP address, which others can connect to.
type ipAddress struct{ value *netip.Addr }

func (a ipAddress) Type() string { return "ip" }
func (a ipAddress) String() string {
	if a.value == nil || !a.value.IsValid() {
		return ""
	}
	return a.value.String()
}
func (a ipAddress) Set(s string) error {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" {
		return fmt.Errorf("want an IP address such as 192.0.2.7")
	}
	*a.value = addr.Unmap()
	return nil
}

// loopback is the only place for addresses that this process serves, while it does so without privilege.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// addressRange is a flag's range of addresses, and whether this process makes them answer; if it does not, somebody else may, and they
// may be anywhere.
type addressRange struct {
	flag   string
	prefix netip.Prefix
	served bool
}

func serviceRange(prefix netip.Prefix, served bool) addressRange {
	return addressRange{"--service-cidr", prefix, served}
}

func podRange(prefix netip.Prefix, served bool) addressRange {
	return addressRange{"--pod-cidr", prefix, served}
}

// checkRanges says why a pair of address ranges cannot be used, or nil.
func checkRanges(service, pod addressRange) error {
	if err := service.check(); err != nil {
		return err
	}
	if err := pod.check(); err != nil {
		return err
	}
	if service.prefix.Overlaps(pod.prefix) {
		return fmt.Errorf("%s %s and %s %s overlap: an address must be either a Service's or a Pod's", service.flag, service.prefix, pod.flag, pod.prefix)
	}
	return nil
}

// check says why a range cannot be used, or nil: it must be IPv4, hold enough addresses to be useful (a /28 at least), and lie in
// 127.0.0.0/8 if it is served here.
func (r addressRange) check() error {
	p := r.prefix
	switch {
	case r.served && (!loopback.Overlaps(p) || p.Bits() < loopback.Bits()):
		return fmt.Errorf("%s %s is not inside 127.0.0.0/8: this version serves loopback addresses only", r.flag, p)
	case !p.Addr().Is4():
		return fmt.Errorf("%s %s is not an IPv4 range: this version has no other", r.flag, p)
	case p.Bits() > 28:
		return fmt.Errorf("%s %s is too small: want a /28 or wider", r.flag, p)
	case p.Contains(netip.MustParseAddr("127.0.0.1")):
		return fmt.Errorf("%s %s contains 127.0.0.1, which belongs to everything else on this host", r.flag, p)
	}
	return nil
}
