package printers

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

func TestNetworkingRows(t *testing.T) {
	held := &networkingv1.IPAddress{ObjectMeta: created("10.0.0.1")}
	if got, want := row(t, IPAddresses(), held), "10.0.0.1 | <none>"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	held.Spec.ParentRef = &networkingv1.ParentReference{Resource: "services", Namespace: "default", Name: "web"}
	if got, want := row(t, IPAddresses(), held), "10.0.0.1 | services/default/web"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	held.Spec.ParentRef = &networkingv1.ParentReference{Group: "gateway.networking.k8s.io", Resource: "gateways",
		Name: "edge"}
	if got, want := row(t, IPAddresses(), held), "10.0.0.1 | gateway.networking.k8s.io/gateways/edge"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	cidr := &networkingv1.ServiceCIDR{ObjectMeta: created("more"),
		Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.0.0.0/24", "fd00::/64"}}}
	if got, want := row(t, ServiceCIDRs(), cidr), "more | 10.0.0.0/24,fd00::/64 | 5m"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
