package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// One Pod that is probed and one that cannot start are counted, and their series end with them.
func TestMetrics(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.agent.Collectors()...)
	flag := filepath.Join(t.TempDir(), "healthy")
	pod := shell("web", "exec sleep 1000")
	pod.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 1, FailureThreshold: 1,
		ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"test", "-e", flag}}}}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.create(pod)
	b.await("web", "become ready", ready)
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	b.await("web", "become unready", func(p *v1.Pod) bool { return !ready(p) })
	none := testPod("none", "/does/not/exist")
	none.Spec.RestartPolicy = v1.RestartPolicyNever
	b.create(none)
	b.await("none", "fail to start", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
	want := `
# HELP kubelet_running_containers Running containers
# TYPE kubelet_running_containers gauge
kubelet_running_containers{container_state="running"} 1
# HELP kubelet_running_pods Pods with at least one running container
# TYPE kubelet_running_pods gauge
kubelet_running_pods 1
# HELP kubelet_started_containers_errors_total Failed attempts to start a container, by the reason in its status
# TYPE kubelet_started_containers_errors_total counter
kubelet_started_containers_errors_total{code="RunContainerError",container_type="container"} 1
# HELP kubelet_started_containers_total Attempts to start a container, including failed ones
# TYPE kubelet_started_containers_total counter
kubelet_started_containers_total{container_type="container"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kubelet_running_containers",
		"kubelet_running_pods",
		"kubelet_started_containers_total", "kubelet_started_containers_errors_total"); err != nil {
		t.Error(err)
	}
	all := counted(t, registry)
	for _, name := range []string{"prober_probe_total successful", "prober_probe_total failed",
		"prober_probe_duration_seconds "} {
		if all[name] == 0 {
			t.Errorf("%s is nothing", name)
		}
	}
	if n := all["kubelet_pod_start_duration_seconds "]; n != 1 {
		t.Errorf("%d starts were timed, want one, of the pod that ran", n)
	}
	b.mark("web", 1)
	b.await("web", "be gone", func(p *v1.Pod) bool { return p == nil })
	b.stop()
	left := counted(t, registry)
	if n := left["prober_probe_total successful"] + left["prober_probe_total failed"] +
		left["prober_probe_duration_seconds "] + left["kubelet_running_pods "] + left["kubelet_running_containers "]; n != 0 {
		t.Errorf("series left of deleted pods: %v", left)
	}
}

// counted gives the value of each metric, by its name and its label result.
func counted(t *testing.T, registry prometheus.Gatherer) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			result := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" {
					result = l.GetValue()
				}
			}
			all[f.GetName()+" "+result] += uint64(m.GetCounter().GetValue()) + uint64(m.GetGauge().GetValue()) +
				m.GetHistogram().GetSampleCount()
		}
	}
	return all
}
