package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"viaduct/internal/proxy"
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

// nodePortAddresses is a flag that says on which addresses node ports are served: "primary", or ranges.
type nodePortAddresses struct{ value *proxy.NodePorts }

func (n nodePortAddresses) String() string {
	if n.value == nil || len(n.value.Within) == 0 {
		return "primary"
	}
	return cidrs{&n.value.Within}.String()
}
func (n nodePortAddresses) Type() string { return "primary|cidr[,cidr]" }
func (n nodePortAddresses) Set(s string) error {
	n.value.Within = nil
	if s == "primary" {
		return nil
	}
	for _, text := range strings.Split(s, ",") {
		var p netip.Prefix
		if err := (cidr{&p}).Set(text); err != nil {
			return fmt.Errorf("want primary, or ranges of addresses: %w", err)
		}
		n.value.Within = append(n.value.Within, p)
	}
	return nil
}
