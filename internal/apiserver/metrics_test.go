package apiserver_test

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
	"testing"

	"viaduct/internal/apiserver/apitest"
)

// allocatorMetrics returns the metrics of the allocators, by name and labels.
func allocatorMetrics(t *testing.T, c *caller) map[string]float64 {
	t.Helper()
	a := c.do("GET", "/metrics", "")
	if a.code != 200 {
		t.Fatalf("/metrics answers %d", a.code)
	}
	found := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(a.body)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil && strings.Contains(name, "_allocator_") {
			found[name] = n
		}
	}
	return found
}

// The metrics of allocated addresses and ports have the names of kube-apiserver's.
func TestAllocatorMetrics(t *testing.T) {
	server := apitest.Start(t)
	c := newCaller(t, server)
	const services = "/api/v1/namespaces/default/services"
	first := c.must("POST", services, `{"metadata":{"name":"first"},"spec":{"ports":[{"port":80}]}}`)
	before := allocatorMetrics(t, c)
	c.must("POST", services, `{"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`)
	c.must("POST", services,
		`{"metadata":{"name":"b"},"spec":{"type":"NodePort","ports":[{"name":"x","port":80},{"name":"y","port":81,"nodePort":30001}]}}`)
	c.must("POST", services+"?dryRun=All", `{"metadata":{"name":"c"},"spec":{"type":"NodePort","ports":[{"port":80}]}}`)
	if a := c.do("POST", services, `{"metadata":{"name":"d"},"spec":{"clusterIP":"`+at(first,
		"spec.clusterIP")+`","ports":[{"port":80}]}}`); a.code != 422 {
		t.Errorf("an address that is in use is allocated again: %d", a.code)
	}
	changed := map[string]float64{}
	eventually(t, "the watch cache has both", func() bool {
		changed = changes(before, allocatorMetrics(t, c))
		return changed["kube_apiserver_clusterip_allocator_allocated_ips"] == 2
	})
	for name, want := range map[string]float64{
		"kube_apiserver_clusterip_allocator_allocated_ips":                     2,
		"kube_apiserver_clusterip_allocator_available_ips":                     -2,
		"kube_apiserver_clusterip_allocator_allocation_total dynamic":          2,
		"kube_apiserver_clusterip_allocator_allocation_errors_total static":    1,
		"kube_apiserver_clusterip_allocator_allocation_duration_seconds_count": 2,
		"kube_apiserver_nodeport_allocator_allocated_ports":                    2,
		"kube_apiserver_nodeport_allocator_available_ports":                    -2,
		"kube_apiserver_nodeport_allocator_allocation_total dynamic":           1,
		"kube_apiserver_nodeport_allocator_allocation_total static":            1,
	} {
		if changed[name] != want {
			t.Errorf("%s changed by %v, want %v", name, changed[name], want)
		}
	}
	if free := before["kube_apiserver_nodeport_allocator_available_ports"]; free < 1000 {
		t.Errorf("%v node ports are left", free)
	}
}

// changes returns the differences of metrics, by name and scope.
func changes(before, after map[string]float64) map[string]float64 {
	changed := map[string]float64{}
	for name, n := range after {
		bare, labels, _ := strings.Cut(name, "{")
		if _, scope, ok := strings.Cut(labels, `scope="`); ok {
			bare += " " + strings.TrimSuffix(scope, `"}`)
		}
		changed[bare] += n - before[name]
	}
	return changed
}
