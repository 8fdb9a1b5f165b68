package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"viaduct/internal/apiserver/allocation"
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

// ipAddress is a flag whose value is an IP address that other hosts can connect to.
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

// nodePortAddresses is a flag for the addresses that node ports are served on: "primary", or ranges.
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

// portRange is a flag whose value is an inclusive range of ports.
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

// optionalHostPort is a flag whose value is empty, or an IP address and a port.
type optionalHostPort struct{ value *string }

func (o optionalHostPort) String() string {
	if o.value == nil {
		return ""
	}
	return *o.value
}
func (o optionalHostPort) Type() string { return "ip:port" }
func (o optionalHostPort) Set(s string) error {
	if s == "" {
		*o.value = ""
		return nil
	}
	return hostPort(o).Set(s)
}
