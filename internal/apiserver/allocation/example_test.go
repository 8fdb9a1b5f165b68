package allocation_test

import (
	"fmt"
	"net/netip"

	"viaduct/internal/apiserver/allocation"
)

// A range leaves out the network address, and the broadcast address of IPv4. Its first address is that of the Service
// kubernetes.
func ExampleNewRange() {
	for _, cidr := range []string{"10.96.0.0/24", "fd00:96::/112", "fd00:96::/48"} {
		r, err := allocation.NewRange(netip.MustParsePrefix(cidr))
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(r.First(), allocation.FamilyOf(r.First()))
	}
	// Output:
	// 10.96.0.1 IPv4
	// fd00:96::1 IPv6
	// fd00:96::/48: an IPv6 range must be a /64 or smaller
}
