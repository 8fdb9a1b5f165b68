package validation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
)

func TestInitIPFamilies(t *testing.T) {
	const (
		v4only = "IPv4"
		both   = "IPv4,IPv6"
	)
	// spec makes a Service of addresses, families and a policy; all may be empty.
	spec := func(ips, families string, policy v1.IPFamilyPolicy) *v1.Service {
		s := &v1.Service{Spec: v1.ServiceSpec{Type: "ClusterIP", Selector: map[string]string{"a": "b"},
			IPFamilies: familyList(families)}}
		if ips != "" {
			s.Spec.ClusterIPs = strings.Split(ips, ",")
			s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
		}
		if policy != "" {
			s.Spec.IPFamilyPolicy = &policy
		}
		return s
	}
	byHand := func(s *v1.Service) *v1.Service { s.Spec.Selector = nil; return s }
	type settled struct{ ips, families, policy string }
	tests := []struct {
		name     string
		now, old *v1.Service
		cluster  string
		want     settled
		errs     string
	}{
		{name: "nothing asked", now: spec("", "", ""), cluster: v4only, want: settled{"", "IPv4", "SingleStack"}},
		{name: "nothing asked, two to have", now: spec("", "", ""), cluster: both, want: settled{"", "IPv4", "SingleStack"}},
		{name: "primary is the first", now: spec("", "", ""), cluster: "IPv6,IPv4", want: settled{"", "IPv6", "SingleStack"}},
		{name: "family asked", now: spec("", "IPv6", ""), cluster: both, want: settled{"", "IPv6", "SingleStack"}},
		{name: "family not to be had", now: spec("", "IPv6", ""), cluster: v4only, errs: "Invalid spec.ipFamilies[0]"},
		{name: "two preferred", now: spec("", "", "PreferDualStack"), cluster: both, want: settled{"", "IPv4,IPv6",
			"PreferDualStack"}},
		{name: "two preferred, one to have", now: spec("", "", "PreferDualStack"), cluster: v4only, want: settled{"", "IPv4",
			"PreferDualStack"}},
		{name: "two preferred, in this order", now: spec("", "IPv6", "PreferDualStack"), cluster: both,
			want: settled{"", "IPv6,IPv4", "PreferDualStack"}},
		{name: "two required", now: spec("", "", "RequireDualStack"), cluster: both, want: settled{"", "IPv4,IPv6",
			"RequireDualStack"}},
		{name: "two required, one to have", now: spec("", "", "RequireDualStack"), cluster: v4only,
			errs: "Invalid spec.ipFamilyPolicy"},
		{name: "from the address", now: spec("fd00::1", "", ""), cluster: both, want: settled{"fd00::1", "IPv6",
			"SingleStack"}},
		{name: "from both addresses", now: spec("fd00::1,10.0.0.1", "", "RequireDualStack"), cluster: both,
			want: settled{"fd00::1,10.0.0.1", "IPv6,IPv4", "RequireDualStack"}},
		{name: "address not to be had", now: spec("fd00::1", "", ""), cluster: v4only, errs: "Invalid spec.clusterIPs[0]"},
		{name: "second address not to be had", now: spec("10.0.0.1,fd00::1", "", "PreferDualStack"), cluster: v4only,
			errs: "Invalid spec.clusterIPs[1]"},
		{name: "malformed address", now: spec("x", "", ""), cluster: v4only, errs: "Invalid spec.clusterIPs[0]"},
		{name: "two addresses for one", now: spec("10.0.0.1,fd00::1", "", ""), cluster: both,
			errs: "Invalid spec.ipFamilyPolicy"},
		{name: "two families for one", now: spec("", "IPv4,IPv6", "SingleStack"), cluster: both,
			errs: "Invalid spec.ipFamilyPolicy"},
		{name: "headless", now: spec("None", "", ""), cluster: both, want: settled{"None", "IPv4", "SingleStack"}},
		{name: "headless, two required, one to have", now: spec("None", "", "RequireDualStack"), cluster: v4only,
			errs: "Invalid spec.ipFamilyPolicy"},
		{name: "headless by hand", now: byHand(spec("None", "", "")), cluster: v4only, want: settled{"None", "IPv4,IPv6",
			"RequireDualStack"}},
		{name: "headless by hand, one", now: byHand(spec("None", "IPv6", "SingleStack")), cluster: v4only,
			want: settled{"None", "IPv6", "SingleStack"}},
		{name: "policy left out", old: spec("10.0.0.1,fd00::1", "IPv4,IPv6", "RequireDualStack"),
			now: spec("10.0.0.1,fd00::1", "IPv4,IPv6", ""), cluster: both,
			want: settled{"10.0.0.1,fd00::1", "IPv4,IPv6", "RequireDualStack"}},
		{name: "to one family", old: spec("10.0.0.1,fd00::1", "IPv4,IPv6", "RequireDualStack"), now: spec("10.0.0.1,fd00::1",
			"IPv4,IPv6", "SingleStack"), cluster: both,
			want: settled{"10.0.0.1", "IPv4", "SingleStack"}},
		{name: "to one family without saying so", old: spec("10.0.0.1,fd00::1", "IPv4,IPv6", "RequireDualStack"),
			now: spec("10.0.0.1", "IPv4", "RequireDualStack"), cluster: both,
			errs: "Invalid spec.ipFamilyPolicy"},
		{name: "to two", old: spec("10.0.0.1", "IPv4", "SingleStack"), now: spec("10.0.0.1", "IPv4", "PreferDualStack"),
			cluster: both,
			want:    settled{"10.0.0.1", "IPv4,IPv6", "PreferDualStack"}},
		{name: "the cluster gained a family", old: spec("10.0.0.1", "IPv4", "PreferDualStack"), now: spec("10.0.0.1", "IPv4",
			"PreferDualStack"), cluster: both,
			want: settled{"10.0.0.1", "IPv4", "PreferDualStack"}},
		{name: "the cluster lost a family", old: spec("10.0.0.1,fd00::1", "IPv4,IPv6", "PreferDualStack"),
			now: spec("10.0.0.1,fd00::1", "IPv4,IPv6", "PreferDualStack"), cluster: v4only,
			want: settled{"10.0.0.1,fd00::1", "IPv4,IPv6", "PreferDualStack"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errs := InitIPFamilies(tt.now, tt.old, familyList(tt.cluster))
			expect(t, errs, tt.errs)
			if len(errs) > 0 {
				return
			}
			var families []string
			for _, f := range tt.now.Spec.IPFamilies {
				families = append(families, string(f))
			}
			got := settled{strings.Join(tt.now.Spec.ClusterIPs, ","), strings.Join(families, ","),
				string(*tt.now.Spec.IPFamilyPolicy)}
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestInitIPFamiliesLeavesExternalNames(t *testing.T) {
	svc := validService()
	externalNameService(svc)
	want := svc.DeepCopy()
	expect(t, InitIPFamilies(svc, nil, familyList("IPv4")), "")
	if diff := cmp.Diff(want, svc); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}

func familyList(s string) (list []v1.IPFamily) {
	if s == "" {
		return nil
	}
	for f := range strings.SplitSeq(s, ",") {
		list = append(list, v1.IPFamily(f))
	}
	return list
}
