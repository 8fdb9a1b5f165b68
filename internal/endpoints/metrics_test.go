package endpoints_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// told are metrics by name and label values: a histogram by the sum of what it observed.
func told(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf(" %s=%s", l.GetName(), l.GetValue())
			}
			switch f.GetType() {
			case dto.MetricType_HISTOGRAM:
				all[name] = m.GetHistogram().GetSampleSum()
			case dto.MetricType_COUNTER:
				all[name] = m.GetCounter().GetValue()
			default:
				all[name] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}

// The dashboards that operators have of kube-controller-manager show the same things here.
func TestMetricsOfTheKeepers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service("web", func(svc *v1.Service) {
		svc.Spec.TrafficDistribution = new(
			v1.ServiceTrafficDistributionPreferSameZone)
	})
	w.pod("a", "web", "10.0.0.1", true)
	w.pod("b", "web", "10.0.0.2", true)
	w.waitSlices("web", "10.0.0.1 ready, 10.0.0.2 ready")
	if err := w.client.CoreV1().Pods("default").Delete(t.Context(), "a",
		metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	w.waitSlices("web", "10.0.0.2 ready")
	w.service("db", withoutSelector)
	w.write("db", 5432, nil, "10.0.1.1", "10.0.1.2")
	w.waitFound("db", mirrored, "10.0.1.1 ready=true serving=?, 10.0.1.2 ready=true serving=?")
	w.stop() // what was under way has been counted

	registry := prometheus.NewRegistry()
	registry.MustRegister(w.controller.Collectors()...)
	got := told(t, registry)
	for name, want := range map[string]float64{
		"endpoint_slice_controller_endpoints_added_per_sync":                                                   2,
		"endpoint_slice_controller_endpoints_removed_per_sync":                                                 1,
		"endpoint_slice_controller_num_endpoint_slices":                                                        1,
		"endpoint_slice_controller_endpoints_desired":                                                          1,
		"endpoint_slice_controller_desired_endpoint_slices":                                                    1,
		"endpoint_slice_controller_services_count_by_traffic_distribution traffic_distribution=PreferSameZone": 1,
		"endpoint_slice_mirroring_controller_endpoints_added_per_sync":                                         2,
		"endpoint_slice_mirroring_controller_endpoints_removed_per_sync":                                       0,
		"endpoint_slice_mirroring_controller_endpoints_updated_per_sync":                                       0,
		"endpoint_slice_mirroring_controller_addresses_skipped_per_sync":                                       0,
		"endpoint_slice_mirroring_controller_num_endpoint_slices":                                              1,
		"endpoint_slice_mirroring_controller_endpoints_desired":                                                2,
		"endpoint_slice_mirroring_controller_desired_endpoint_slices":                                          1,
		"endpoint_slice_mirroring_controller_changes operation=create":                                         1,
	} {
		if is, there := got[name]; !there || is != want {
			t.Errorf("%s is %v (there: %v), want %v", name, is, there, want)
		}
	}
	if n := got["endpoint_slice_controller_endpointslices_changed_per_sync topology=Disabled "+
		"traffic_distribution=PreferSameZone"]; n < 2 {
		t.Errorf("%v slices were changed, want one to be made and to be updated", n)
	}
	for _, name := range []string{"adds_total", "queue_duration_seconds", "work_duration_seconds"} {
		if n, there := got["workqueue_"+name+" name=endpoint_slice"]; !there || n <= 0 {
			t.Errorf("workqueue_%s is %v", name, n)
		}
	}
	if _, there := got["workqueue_depth name=endpoint_slice"]; !there {
		t.Error("nobody tells how many Services wait")
	}
	if n := got["endpoint_slice_mirroring_controller_endpoints_sync_duration"]; n <= 0 {
		t.Error("looks at the hand-written took no time")
	}
}
