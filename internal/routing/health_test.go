package routing

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHealthCheckOf(t *testing.T) {
	me, other, yes, no := "me", "other", true, false
	endpoint := func(node *string, ready *bool, addr string) discovery.Endpoint {
		return discovery.Endpoint{Addresses: []string{addr}, NodeName: node,
			Conditions: discovery.EndpointConditions{Ready: ready}}
	}
	svc := func(kind v1.ServiceType, policy v1.ServiceExternalTrafficPolicy, port int32) *v1.Service {
		return &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web"}, Spec: v1.ServiceSpec{Type: kind,
			ExternalTrafficPolicy: policy, HealthCheckNodePort: port}}
	}
	local := svc(v1.ServiceTypeLoadBalancer, v1.ServiceExternalTrafficPolicyLocal, 32000)
	for _, c := range []struct {
		name string
		svc  *v1.Service
		eps  []discovery.Endpoint
		want int
		has  bool
	}{
		{"local ones that are ready", local, []discovery.Endpoint{endpoint(&me, nil, "10.0.0.1"),
			endpoint(&me, &yes, "10.0.0.2"), endpoint(&me, &no, "10.0.0.3"), endpoint(&other, &yes, "10.0.1.1"),
			endpoint(nil, &yes, "10.0.1.2")}, 2, true},
		{"once for both families", local, []discovery.Endpoint{endpoint(&me, &yes, "10.0.0.1"),
			endpoint(&me, &yes, "fd00::1")}, 1, true},
		{"once for two ports", local, []discovery.Endpoint{endpoint(&me, &yes, "10.0.0.1"), endpoint(&me, &yes, "10.0.0.1")},
			1, true},
		{"none", local, nil, 0, true},
		{"policy Cluster", svc(v1.ServiceTypeLoadBalancer, v1.ServiceExternalTrafficPolicyCluster, 32000), nil, 0, false},
		{"another type", svc(v1.ServiceTypeNodePort, v1.ServiceExternalTrafficPolicyLocal, 32000), nil, 0, false},
		{"no port", svc(v1.ServiceTypeLoadBalancer, v1.ServiceExternalTrafficPolicyLocal, 0), nil, 0, false},
	} {
		got, has := HealthCheckOf(Node{Name: me}, c.svc, []*discovery.EndpointSlice{{Endpoints: c.eps}})
		if has != c.has || has && (got.Local != c.want || got.Port != 32000 || got.Service.String() != "a/web") {
			t.Errorf("%s: %+v, %v", c.name, got, has)
		}
	}
}
