package membership

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

// checkedService has n addresses in its Endpoints, of which all but the first are down for a cause.
func checkedService(n int, cause string) Inputs {
	subset := v1.EndpointSubset{Ports: []v1.EndpointPort{{Port: 5432, Protocol: v1.ProtocolTCP}}}
	for i := range n {
		subset.Addresses = append(subset.Addresses, v1.EndpointAddress{IP: fmt.Sprintf("10.9.%d.%d", i/250, i%250+1)})
	}
	first := netip.MustParseAddr("10.9.0.1")
	return Inputs{
		Service: &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "db", UID: "svc",
			Annotations: map[string]string{annotations.HealthCheck: "tcp"}},
			Spec: v1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []v1.ServicePort{{Port: 5432}}}},
		Endpoints: &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "db", UID: "ep"},
			Subsets: []v1.EndpointSubset{subset}},
		Controllers: AllControllers(),
		Lookups: Lookups{
			Pods: Pods{Named: func(string) *v1.Pod { return nil }, At: func(netip.Addr) []*v1.Pod { return nil }},
			Finding: func(t HealthTarget) (Finding, bool) {
				if t.Addr.Addr() == first {
					return Finding{State: Up}, true
				}
				return Finding{State: Down, Since: time.Unix(1000, 0), Cause: cause}, true
			},
		},
	}
}

// What the checks found is stored with the slices, within bounds, and another cause alone is no reason to write.
func TestHealthStatusIsBoundedAndNoReasonToWrite(t *testing.T) {
	in := checkedService(150, strings.Repeat("ü", 200))
	d := Decide(in)
	plan := d.Plan(MirrorManagedBy)
	if len(plan.Create) != 1 || len(d.Targets) != 150 {
		t.Fatalf("%d slices, %d targets", len(plan.Create), len(d.Targets))
	}
	slice := plan.Create[0]
	slice.Name = "db-a"
	note := slice.Annotations[annotations.HealthStatus]
	if n := strings.Count(note, `"state":"down"`); n != maxStatuses || len(note) > maxStatuses*(maxCauseBytes+100) {
		t.Errorf("%d addresses in %d bytes", n, len(note))
	}
	in.Slices = append(in.Slices, slice)
	in.Lookups.Finding = func(target HealthTarget) (Finding, bool) {
		f, _ := checkedService(1, "another cause").Lookups.Finding(target)
		return f, true
	}
	again := Decide(in)
	for _, p := range again.Slices {
		if !p.Empty() {
			t.Errorf("the slices of %s are written again for another cause", p.Keeper)
		}
	}
	if got := again.Addresses[1].Finding.Cause; got != "another cause" {
		t.Errorf("the decision has the cause %q", got)
	}
	in.Lookups.Finding = nil // a process that does not check
	stored := Decide(in).Addresses[1]
	if f := stored.Finding; stored.Why != CheckFailed || !f.Since.Equal(time.Unix(1000, 0)) ||
		!strings.HasPrefix(f.Cause, "üü") || len(f.Cause) > maxCauseBytes {
		t.Errorf("the slices say %s: %+v", stored.Why, f)
	}
}

// An author of Endpoints cannot make up what the checks found.
func TestHealthStatusIsNotCopied(t *testing.T) {
	in := checkedService(2, "connection refused")
	in.Endpoints.Annotations = map[string]string{annotations.HealthStatus: `{"10.9.0.1":{"state":"down"}}`, "mine": "yes"}
	in.Lookups.Finding = nil
	d := Decide(in)
	if got := d.Plan(MirrorManagedBy).Create[0].Annotations; len(got) != 1 || got["mine"] != "yes" {
		t.Errorf("the mirror has the annotations %v", got)
	}
}
