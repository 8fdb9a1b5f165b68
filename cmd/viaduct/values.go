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

// loopback is the only place for Service and Pod addresses while the proxy works without privilege.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// checkRanges says why a pair of address ranges cannot be served, or nil. Both must lie in 127.0.0.0/8, hold enough
// addresses to be useful (a /28 at least), and not overlap.
func checkRanges(service, pod netip.Prefix) error {
	if err := checkRange("--service-cidr", service); err != nil {
		return err
	}
	if err := checkRange("--pod-cidr", pod); err != nil {
		return err
	}
	if service.Overlaps(pod) {
		return fmt.Errorf("--service-cidr %s and --pod-cidr %s overlap: an address must be either a Service's or a Pod's", service, pod)
	}
	return nil
}

func checkRange(flag string, p netip.Prefix) error {
	switch {
	case !loopback.Overlaps(p) || p.Bits() < loopback.Bits():
		return fmt.Errorf("%s %s is not inside 127.0.0.0/8: this version serves loopback addresses only", flag, p)
	case p.Bits() > 28:
		return fmt.Errorf("%s %s is too small: want a /28 or wider", flag, p)
	case p.Contains(netip.MustParseAddr("127.0.0.1")):
		return fmt.Errorf("%s %s contains 127.0.0.1, which belongs to everything else on this host", flag, p)
	}
	return nil
}
