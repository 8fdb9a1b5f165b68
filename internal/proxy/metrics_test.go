package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What is applied is counted, with how long it took from the change; and which Services have nobody here.
func TestMetrics(t *testing.T) {
	local := service("local", "10.96.0.2", 0)
	policy := v1.ServiceInternalTrafficPolicyLocal
	local.Spec.InternalTrafficPolicy = &policy
	s := newStage(t, service("web", "10.96.0.1", 0), local)
	s.run()
	s.next()
	receive(t, s.applied)
	fresh := slice("web-1", "web", "10.0.0.1")
	fresh.Annotations = map[string]string{v1.EndpointsLastChangeTriggerTime: time.Now().Add(time.Millisecond).Format(
		time.RFC3339Nano)}
	s.createSlice(fresh)
	s.next()
	receive(t, s.applied)
	far := slice("local-1", "local", "10.0.0.2")
	far.Endpoints[0].NodeName = new("there")
	s.createSlice(far)
	s.next()
	receive(t, s.applied)

	ask := func(path string) string {
		w := httptest.NewRecorder()
		s.proxy.HealthHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return fmt.Sprint(w.Code)
	}
	asked := map[string]string{"/healthz": ask("/healthz"), "/livez": ask("/livez")}
	if asked["/livez"] != "200" {
		t.Errorf("what works answers %s at /livez", asked["/livez"])
	}
	for path, counter := range map[string]*prometheus.CounterVec{"/healthz": s.proxy.metrics.healthz,
		"/livez": s.proxy.metrics.livez} {
		if n := testutil.ToFloat64(counter.WithLabelValues(asked[path])); n != 1 {
			t.Errorf("%v answers %s are counted at %s", n, asked[path], path)
		}
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(s.proxy.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	programmed := false
	for _, f := range families {
		if f.GetName() == "kubeproxy_network_programming_duration_seconds" {
			programmed = f.GetMetric()[0].GetHistogram().GetSampleCount() == 1
		}
	}
	if !programmed {
		t.Error("the time from the change to its application is not counted once")
	}
	want := `
# HELP kubeproxy_sync_proxy_rules_no_local_endpoints_total Services with a Local traffic policy and endpoints, but none on this node
# TYPE kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge
kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="external"} 0
kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"kubeproxy_sync_proxy_rules_no_local_endpoints_total"); err != nil {
		t.Error(err)
	}
}
