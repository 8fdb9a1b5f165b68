package membership

import (
	"reflect"
	"testing"

	v1 "k8s.io/api/core/v1"
)

// TestSlimLosesNothingThatCounts holds that a slim Pod is as good as the whole one, to every function that takes a Pod.
func TestSlimLosesNothingThatCounts(t *testing.T) {
	w := newWorld(t)
	for range 100 {
		svc, pods := w.service(), w.pods()
		slim := make([]*v1.Pod, len(pods))
		for i, pod := range pods {
			slim[i] = Slim(pod)
			if got, want := Judge(svc, slim[i]), Judge(svc, pod); got != want {
				t.Fatalf("pod %s: %+v of the slim one, %+v of the whole", pod.Name, got, want)
			}
			if i > 0 && Matters(slim[i-1], slim[i]) != Matters(pods[i-1], pods[i]) {
				t.Fatalf("whether the change from %s to %s matters depends on what Slim leaves out", pods[i-1].Name, pod.Name)
			}
		}
		for i := 1; i < len(pods); i++ {
			if got, want := PodTrigger(slim[i-1], slim[i]), PodTrigger(pods[i-1], pods[i]); !got.Equal(want) {
				t.Fatalf("a change is triggered at %s of the slim Pods, at %s of the whole", got, want)
			}
		}
		if got, want := OfPods(svc, slim, nil), OfPods(svc, pods, nil); !reflect.DeepEqual(got, want) {
			t.Fatalf("members of the slim pods:\n%+v\nof the whole:\n%+v", got, want)
		}
	}
}
