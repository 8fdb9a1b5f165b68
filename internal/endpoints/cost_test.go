package endpoints_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
)

// A flip costs one look at the Service and a write of each kind: that a write of its own comes back as an event tells
// the controller nothing.
func TestOneFlipCostsOneLook(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.pod("a", "web", "10.0.0.1", true)
	w.pod("b", "web", "10.0.0.2", true)
	w.waitEndpoints("web", "ready 10.0.0.1, ready 10.0.0.2, port 8080")
	w.waitSlices("web", "10.0.0.1 ready, 10.0.0.2 ready")
	before, flips := w.counts(), 20
	for i := range flips {
		ready := i%2 == 1
		w.status("a", "10.0.0.1", v1.PodRunning, ready)
		if ready {
			w.waitEndpoints("web", "ready 10.0.0.1, ready 10.0.0.2, port 8080")
			w.waitSlices("web", "10.0.0.1 ready, 10.0.0.2 ready")
		} else {
			w.waitEndpoints("web", "ready 10.0.0.2, not-ready 10.0.0.1, port 8080")
			w.waitSlices("web", "10.0.0.1 not-ready, 10.0.0.2 ready")
		}
	}
	w.service("last") // by the time it is seen to, whatever a flip has caused is over
	w.waitEndpoints("last", "none")
	w.waitSlices("last", "")
	w.stop()
	after := w.counts()
	// One more of each is what was under way when the first count was made; a look more is the last Service.
	for name, most := range map[string]float64{
		`endpoint_slice_controller_syncs{result="success"}`:                        float64(flips + 2),
		`endpoint_slice_controller_changes{operation="update"}`:                    float64(flips + 1),
		`viaduct_endpoints_controller_endpoints_changes_total{operation="update"}`: float64(flips + 1),
	} {
		if got := after[name] - before[name]; got > most {
			t.Errorf("%d flips cost %v of %s, want at most %v", flips, got, name, most)
		}
	}
}

// counts are the controller's counters and gauges, by name and labels.
func (w *world) counts() map[string]float64 {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.controller.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, l := range m.Label {
				name += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			switch {
			case m.Counter != nil:
				counts[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				counts[name] = m.Gauge.GetValue()
			case m.Histogram != nil:
				counts[name] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return counts
}
