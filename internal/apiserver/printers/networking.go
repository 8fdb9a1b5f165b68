package printers

import (
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ipAddresses() table[*networkingv1.IPAddress] {
	return table[*networkingv1.IPAddress]{
		columns: []metav1.TableColumnDefinition{name(), column("ParentRef", "What the address is held for.")},
		cells: func(ip *networkingv1.IPAddress, _ time.Time) []any {
			return []any{ip.Name, orElse(parentRef(ip.Spec.ParentRef), none)}
		},
	}
}

// parentRef joins what of a reference there is: services/default/kubernetes.
func parentRef(ref *networkingv1.ParentReference) string {
	if ref == nil {
		return ""
	}
	var parts []string
	for _, part := range []string{ref.Group, ref.Resource, ref.Namespace, ref.Name} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

func serviceCIDRs() table[*networkingv1.ServiceCIDR] {
	return table[*networkingv1.ServiceCIDR]{
		columns: []metav1.TableColumnDefinition{name(), column("CIDRs", "The ranges that Services' addresses come from."),
			age()},
		cells: func(cidr *networkingv1.ServiceCIDR, now time.Time) []any {
			return []any{cidr.Name, strings.Join(cidr.Spec.CIDRs, ","), since(cidr.CreationTimestamp.Time, now)}
		},
	}
}
