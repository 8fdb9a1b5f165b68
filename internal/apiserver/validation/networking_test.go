package validation

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func ipAddress(name string, ref *networkingv1.ParentReference) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}, Spec: networkingv1.IPAddressSpec{ParentRef: ref},
	}
}

func parent(change ...func(*networkingv1.ParentReference)) *networkingv1.ParentReference {
	ref := &networkingv1.ParentReference{Resource: "services", Namespace: "default", Name: "a"}
	for _, f := range change {
		f(ref)
	}
	return ref
}

// wantOne checks that errs is the one error of this type at this path; no path stands for no error.
func wantOne(t *testing.T, name string, errs field.ErrorList, path string, kind field.ErrorType) {
	t.Helper()
	if path == "" {
		if len(errs) > 0 {
			t.Errorf("%s: %v, want none", name, errs)
		}
		return
	}
	for _, err := range errs {
		if err.Field == path && err.Type == kind {
			return
		}
	}
	t.Errorf("%s: %v, want %s at %s", name, errs, kind, path)
}

func TestValidateIPAddress(t *testing.T) {
	tests := []struct {
		name string
		ip   *networkingv1.IPAddress
		path string
		kind field.ErrorType
	}{
		{"IPv4", ipAddress("10.0.0.1", parent()), "", ""},
		{"IPv6", ipAddress("fd00::1", parent()), "", ""},
		{"of another group", ipAddress("fd00::1",
			parent(func(r *networkingv1.ParentReference) { r.Group = "gateway.networking.k8s.io" })), "", ""},
		{"of the cluster", ipAddress("fd00::1", parent(func(r *networkingv1.ParentReference) { r.Namespace = "" })), "", ""},
		{"no address", ipAddress("ten", parent()), "metadata.name", field.ErrorTypeInvalid},
		{"leading zeros", ipAddress("10.0.0.01", parent()), "metadata.name", field.ErrorTypeInvalid},
		{"IPv6 spelled out", ipAddress("fd00:0::1", parent()), "metadata.name", field.ErrorTypeInvalid},
		{"IPv6 in capitals", ipAddress("FD00::1", parent()), "metadata.name", field.ErrorTypeInvalid},
		{"IPv4 as IPv6", ipAddress("::ffff:10.0.0.1", parent()), "metadata.name", field.ErrorTypeInvalid},
		{"no parent", ipAddress("10.0.0.1", nil), "spec.parentRef", field.ErrorTypeRequired},
		{"no resource", ipAddress("10.0.0.1", parent(func(r *networkingv1.ParentReference) { r.Resource = "" })),
			"spec.parentRef.resource", field.ErrorTypeRequired},
		{"no name", ipAddress("10.0.0.1", parent(func(r *networkingv1.ParentReference) { r.Name = "" })),
			"spec.parentRef.name", field.ErrorTypeRequired},
		{"group", ipAddress("10.0.0.1", parent(func(r *networkingv1.ParentReference) { r.Group = "_" })),
			"spec.parentRef.group", field.ErrorTypeInvalid},
		{"resource", ipAddress("10.0.0.1", parent(func(r *networkingv1.ParentReference) { r.Resource = "a/b" })),
			"spec.parentRef.resource", field.ErrorTypeInvalid},
		{"parent's name", ipAddress("10.0.0.1", parent(func(r *networkingv1.ParentReference) { r.Name = ".." })),
			"spec.parentRef.name", field.ErrorTypeInvalid},
		{"namespace", ipAddress("10.0.0.1", parent(func(r *networkingv1.ParentReference) { r.Namespace = "a%b" })),
			"spec.parentRef.namespace", field.ErrorTypeInvalid},
	}
	for _, tt := range tests {
		wantOne(t, tt.name, ValidateIPAddress(tt.ip), tt.path, tt.kind)
	}
}

func TestValidateIPAddressUpdate(t *testing.T) {
	old := ipAddress("10.0.0.1", parent())
	same := old.DeepCopy()
	same.Labels = map[string]string{"a": "b"}
	wantOne(t, "labels", ValidateIPAddressUpdate(same, old), "", "")
	other := ipAddress("10.0.0.1", parent(func(r *networkingv1.ParentReference) { r.Name = "b" }))
	wantOne(t, "another holder", ValidateIPAddressUpdate(other, old), "spec.parentRef", field.ErrorTypeInvalid)
}

func cidrs(list ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "more", ResourceVersion: "1"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: list},
	}
}

func TestValidateServiceCIDR(t *testing.T) {
	tests := []struct {
		name string
		cidr *networkingv1.ServiceCIDR
		path string
		kind field.ErrorType
	}{
		{"one", cidrs("10.0.0.0/24"), "", ""},
		{"one of each family", cidrs("fd00::/64", "10.0.0.0/24"), "", ""},
		{"none", cidrs(), "spec.cidrs", field.ErrorTypeRequired},
		{"three", cidrs("10.0.0.0/24", "fd00::/64", "10.1.0.0/24"), "spec.cidrs", field.ErrorTypeInvalid},
		{"twice a family", cidrs("10.0.0.0/24", "10.1.0.0/24"), "spec.cidrs", field.ErrorTypeInvalid},
		{"host bits", cidrs("10.0.0.1/24"), "spec.cidrs[0]", field.ErrorTypeInvalid},
		{"an address", cidrs("fd00::/64", "10.0.0.1"), "spec.cidrs[1]", field.ErrorTypeInvalid},
		{"not canonical", cidrs("fd00:0::/64"), "spec.cidrs[0]", field.ErrorTypeInvalid},
	}
	for _, tt := range tests {
		wantOne(t, tt.name, ValidateServiceCIDR(tt.cidr), tt.path, tt.kind)
	}
}

func TestValidateServiceCIDRUpdate(t *testing.T) {
	tests := []struct {
		name     string
		now, old *networkingv1.ServiceCIDR
		path     string
	}{
		{"the same", cidrs("10.0.0.0/24"), cidrs("10.0.0.0/24"), ""},
		{"a second family", cidrs("10.0.0.0/24", "fd00::/64"), cidrs("10.0.0.0/24"), ""},
		{"a second family put first", cidrs("fd00::/64", "10.0.0.0/24"), cidrs("10.0.0.0/24"), "spec.cidrs[0]"},
		{"a second range of the family", cidrs("10.0.0.0/24", "10.1.0.0/24"), cidrs("10.0.0.0/24"), "spec.cidrs"},
		{"a second range that is none", cidrs("10.0.0.0/24", "x"), cidrs("10.0.0.0/24"), "spec.cidrs[1]"},
		{"another range", cidrs("10.0.0.0/25"), cidrs("10.0.0.0/24"), "spec.cidrs[0]"},
		{"another second range", cidrs("10.0.0.0/24", "fd01::/64"), cidrs("10.0.0.0/24", "fd00::/64"), "spec.cidrs[1]"},
		{"one fewer", cidrs("10.0.0.0/24"), cidrs("10.0.0.0/24", "fd00::/64"), "spec.cidrs"},
		{"none left", cidrs(), cidrs("10.0.0.0/24"), "spec.cidrs"},
	}
	for _, tt := range tests {
		wantOne(t, tt.name, ValidateServiceCIDRUpdate(tt.now, tt.old), tt.path, field.ErrorTypeInvalid)
	}
	if errs := ValidateServiceCIDRStatusUpdate(cidrs("10.0.0.0/24"), cidrs("10.0.0.0/24")); len(errs) > 0 {
		t.Errorf("a status that did not change: %v", errs)
	}
}
