package printers

import (
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IPAddresses returns the table of ipaddresses.
func IPAddresses() Table[*networkingv1.IPAddress] {
	return Table[*networkingv1.IPAddress]{
		Columns: []metav1.TableColumnDefinition{Name(), Column("ParentRef", "What the address is held for.")},
		Cells: func(ip *networkingv1.IPAddress, _ time.Time) []any {
			return []any{ip.Name, orElse(parentRef(ip.Spec.ParentRef), none)}
		},
	}
}

// parentRef joins the non-empty parts of a reference: services/default/kubernetes.
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

// ServiceCIDRs returns the table of servicecidrs.
func ServiceCIDRs() Table[*networkingv1.ServiceCIDR] {
	return Table[*networkingv1.ServiceCIDR]{
		Columns: []metav1.TableColumnDefinition{Name(), Column("CIDRs", "The ranges that Services' addresses come from."),
			Age()},
		Cells: func(cidr *networkingv1.ServiceCIDR, now time.Time) []any {
			return []any{cidr.Name, strings.Join(cidr.Spec.CIDRs, ","), Since(cidr.CreationTimestamp.Time, now)}
		},
	}
}
