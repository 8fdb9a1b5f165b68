package allocation

import (
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// DefaultServiceCIDR is the name of the ServiceCIDR that the server creates from its own ranges.
const DefaultServiceCIDR = "kubernetes"

// isReady reports whether addresses may be allocated from a ServiceCIDR. A ServiceCIDR without a Ready condition
// counts as ready.
func isReady(cidr *networkingv1.ServiceCIDR) bool {
	return cidr.DeletionTimestamp == nil && !meta.IsStatusConditionFalse(cidr.Status.Conditions,
		networkingv1.ServiceCIDRConditionReady)
}

// rangesOf returns the ranges of a ServiceCIDR. It leaves out ranges that nothing can be allocated from, which
// upstream accepts too.
func rangesOf(cidr *networkingv1.ServiceCIDR) []Range {
	var ranges []Range
	for _, s := range cidr.Spec.CIDRs {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			continue
		}
		if r, err := NewRange(prefix); err == nil {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// oldestFirst sorts ServiceCIDRs by age, so that ranges that were added later are used later.
func oldestFirst(cidrs []*networkingv1.ServiceCIDR) []*networkingv1.ServiceCIDR {
	return slices.SortedFunc(slices.Values(cidrs), func(a, b *networkingv1.ServiceCIDR) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return compareNames(a.Name, b.Name)
	})
}

func compareNames(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == DefaultServiceCIDR || b != DefaultServiceCIDR && a < b:
		return -1
	}
	return 1
}
