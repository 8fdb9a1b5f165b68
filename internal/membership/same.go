package membership

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
)

// Comparisons go field by field, because reflection took most of the time that a change costs.

// SameSubsets says whether have means the same as want, whatever the order and the grouping of have. want must be a
// result of Subsets. The resourceVersion of a targetRef is ignored.
func SameSubsets(have, want []v1.EndpointSubset) bool {
	return sumOf(have) == sumOf(want) && (equalSubsets(have, want) || equalSubsets(Canonical(have), want))
}

// sums counts the pairs of address and port in subsets. Sums are cheap to compare, and nearly every change of
// membership changes them.
type sums struct{ ready, notReady int }

func sumOf(subsets []v1.EndpointSubset) sums {
	var sum sums
	for _, s := range subsets {
		ports := max(1, len(s.Ports))
		sum.ready += ports * len(s.Addresses)
		sum.notReady += ports * len(s.NotReadyAddresses)
	}
	return sum
}

func equalSubsets(a, b []v1.EndpointSubset) bool {
	return slices.EqualFunc(a, b, func(a, b v1.EndpointSubset) bool {
		return slices.EqualFunc(a.Ports, b.Ports, equalPort) &&
			slices.EqualFunc(a.Addresses, b.Addresses, equalAddress) && slices.EqualFunc(a.NotReadyAddresses,
			b.NotReadyAddresses, equalAddress)
	})
}

func equalPort(a, b v1.EndpointPort) bool {
	return a.Name == b.Name && a.Port == b.Port && a.Protocol == b.Protocol && same(a.AppProtocol, b.AppProtocol)
}

func equalAddress(a, b v1.EndpointAddress) bool {
	return a.IP == b.IP && a.Hostname == b.Hostname && same(a.NodeName, b.NodeName) && sameTarget(a.TargetRef, b.TargetRef)
}

// sameEndpoint compares all fields that are decided here; the resourceVersion of a targetRef is not one of them. Fields
// are compared one by one, because reflection took most of the time of a plan.
func sameEndpoint(a, b *discovery.Endpoint) bool {
	return slices.Equal(a.Addresses, b.Addresses) &&
		same(a.Conditions.Ready, b.Conditions.Ready) &&
		same(a.Conditions.Serving, b.Conditions.Serving) &&
		same(a.Conditions.Terminating, b.Conditions.Terminating) &&
		same(a.Hostname, b.Hostname) && same(a.NodeName, b.NodeName) && same(a.Zone, b.Zone) &&
		sameTarget(a.TargetRef, b.TargetRef) &&
		maps.Equal(a.DeprecatedTopology, b.DeprecatedTopology) &&
		(a.Hints == nil && b.Hints == nil || apiequality.Semantic.DeepEqual(a.Hints, b.Hints))
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func sameTarget(a, b *v1.ObjectReference) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.ResourceVersion, y.ResourceVersion = "", ""
	return x == y
}
