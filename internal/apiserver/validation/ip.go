package validation

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// address checks an IP address in a field that is older than strict parsing. IPv6 need not be canonical, but leading
// zeros and IPv4-mapped IPv6 are refused, since two programs may parse them as two addresses. known are stored
// values, which stay acceptable.
func address(path *field.Path, value string, known ...string) field.ErrorList {
	return syntax.IsValidIPForLegacyField(path, value, true, known)
}

// endpointAddress refuses addresses that mean the sender's own host or link. Other multicast addresses are accepted,
// as upstream accepts them.
func endpointAddress(path *field.Path, value string, opts Options) field.ErrorList {
	ip := netutils.ParseIPSloppy(value)
	if ip == nil {
		return field.ErrorList{field.Invalid(path, value, "must be a valid IP address")}
	}
	var errs field.ErrorList
	refuse := func(refused bool, detail string) {
		if refused {
			errs = append(errs, field.Invalid(path, value, detail))
		}
	}
	refuse(ip.IsUnspecified(), "must name an address: 0.0.0.0 and :: do not")
	refuse(ip.IsLoopback() && !opts.AllowLoopback, "must not be a loopback address (127.0.0.0/8, ::1/128)")
	refuse(ip.IsLinkLocalUnicast(), "must not be a link-local address (169.254.0.0/16, fe80::/10)")
	refuse(ip.IsLinkLocalMulticast(), "must not be a link-local multicast address (224.0.0.0/24, ff02::/16)")
	return errs
}

// familyOf returns the family of an address, or "" if ip is not an address.
func familyOf(ip string) v1.IPFamily {
	switch netutils.IPFamilyOfString(ip) {
	case netutils.IPv4:
		return v1.IPv4Protocol
	case netutils.IPv6:
		return v1.IPv6Protocol
	}
	return ""
}

// otherFamily returns the other one of the two families, or "" for any other value.
func otherFamily(family v1.IPFamily) v1.IPFamily {
	switch family {
	case v1.IPv4Protocol:
		return v1.IPv6Protocol
	case v1.IPv6Protocol:
		return v1.IPv4Protocol
	}
	return ""
}

// addressWarnings warns about an address that is accepted but not in its standard form. It does not warn about text
// that is not an address, which the Validate functions refuse.
func addressWarnings(path *field.Path, value string) []string {
	if netutils.ParseIPSloppy(value) == nil {
		return nil
	}
	return syntax.GetWarningsForIP(path, value)
}

// rangeWarnings is addressWarnings for a CIDR.
func rangeWarnings(path *field.Path, value string) []string {
	if _, _, err := netutils.ParseCIDRSloppy(value); err != nil {
		return nil
	}
	return syntax.GetWarningsForCIDR(path, value)
}

// addressPair checks a list that holds at most one address of each family, such as status.podIPs.
func addressPair(path *field.Path, ips []string) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range ips {
		errs = append(errs, address(path.Index(i), ip)...)
		if slices.Contains(ips[:i], ip) {
			errs = append(errs, field.Duplicate(path.Index(i), ip))
		}
	}
	if len(ips) > 2 {
		return append(errs, field.Invalid(path, ips, "may hold two addresses at most, one of each family"))
	}
	if len(ips) == 2 && familyOf(ips[0]) == familyOf(ips[1]) {
		errs = append(errs, field.Invalid(path, ips, fmt.Sprintf("may hold one %s address at most", familyOf(ips[0]))))
	}
	return errs
}
