package membership

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// scan is an Index that looks at everything each time.
type scan struct {
	services map[types.NamespacedName]*v1.Service
	pods     map[types.NamespacedName]*v1.Pod
}

func (s *scan) selecting(pod *v1.Pod) []types.NamespacedName {
	var keys []types.NamespacedName
	for key, svc := range s.services {
		if pod != nil && svc.Spec.Type != v1.ServiceTypeExternalName && HasSelector(svc) && key.Namespace == pod.Namespace &&
			selects(svc.Spec.Selector, pod.Labels) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *scan) selected(key types.NamespacedName) []string {
	var names []string
	for _, pod := range s.pods {
		if slices.Contains(s.selecting(pod), key) {
			names = append(names, fmt.Sprintf("%s/%s %p", pod.Namespace, pod.Name, pod))
		}
	}
	slices.Sort(names)
	return names
}

func sortedKeys(lists ...[]types.NamespacedName) []types.NamespacedName {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(all)
}

// draw makes a world small enough that everything meets everything.
type draw struct{ *rand.Rand }

func (d draw) labels(most int) map[string]string {
	labels := map[string]string{}
	for range d.IntN(most + 1) {
		labels[fmt.Sprintf("k%d", d.IntN(3))] = fmt.Sprintf("v%d", d.IntN(2))
	}
	return labels
}

func (d draw) meta(kind string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: fmt.Sprintf("n%d", d.IntN(2)), Name: fmt.Sprintf("%s%d", kind, d.IntN(6))}
}

// An Index, whatever was done to it, says what a scan of everything says.
func TestIndexIsAScan(t *testing.T) {
	for seed := range uint64(200) {
		d := draw{rand.New(rand.NewPCG(seed, 1))}
		x, all := NewIndex(), &scan{map[types.NamespacedName]*v1.Service{}, map[types.NamespacedName]*v1.Pod{}}
		for step := range 60 {
			d.change(t, x, all)
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, step)
			}
		}
		for key := range all.services {
			x.DropService(key)
		}
		for key := range all.pods {
			x.DropPod(key)
		}
		if n := len(x.services) + len(x.pods) + len(x.filed) + len(x.asked) + len(x.labelled); n != 0 {
			t.Fatalf("seed %d: %d entries are left of nothing", seed, n)
		}
	}
}

func (d draw) change(t *testing.T, x *Index, all *scan) {
	switch d.IntN(6) {
	case 0, 1:
		svc := &v1.Service{ObjectMeta: d.meta("s")}
		svc.Spec.Selector = d.labels(3)
		if d.IntN(8) == 0 {
			svc.Spec.Type = v1.ServiceTypeExternalName
		}
		all.services[types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}] = svc
		x.SetService(svc)
	case 2:
		m := d.meta("s")
		key := types.NamespacedName{Namespace: m.Namespace, Name: m.Name}
		delete(all.services, key)
		x.DropService(key)
	case 3, 4:
		pod := &v1.Pod{ObjectMeta: d.meta("p")}
		pod.Labels = d.labels(4)
		key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
		want := sortedKeys(all.selecting(all.pods[key]), all.selecting(pod))
		all.pods[key] = pod
		if got := sortedKeys(x.SetPod(pod)); !slices.Equal(got, want) {
			t.Errorf("the Pod %v concerns %v, want %v", pod.Labels, got, want)
		}
	case 5:
		m := d.meta("p")
		key := types.NamespacedName{Namespace: m.Namespace, Name: m.Name}
		want := sortedKeys(all.selecting(all.pods[key]))
		delete(all.pods, key)
		if got := sortedKeys(x.DropPod(key)); !slices.Equal(got, want) {
			t.Errorf("the end of a Pod concerns %v, want %v", got, want)
		}
	}
	for key, svc := range all.services {
		var got []string
		pods, known := x.Pods(svc)
		if known != ChoosesPods(svc) {
			t.Errorf("%s is known: %v", key, known)
		}
		for _, pod := range pods {
			got = append(got, fmt.Sprintf("%s/%s %p", pod.Namespace, pod.Name, pod))
		}
		slices.Sort(got)
		if want := all.selected(key); !slices.Equal(got, want) {
			t.Errorf("%s selects %v, want %v", key, got, want)
		}
	}
	for key, pod := range all.pods {
		if got, want := sortedKeys(x.Selecting(key)), sortedKeys(all.selecting(pod)); !slices.Equal(got, want) {
			t.Errorf("%s is selected by %v, want %v", key, got, want)
		}
	}
}

// What was decided on another selector than the Index has would be wrong for a moment.
func TestIndexKnowsTheSelector(t *testing.T) {
	x := NewIndex()
	before, after := filedService(1), filedService(1)
	after.Spec.Selector = map[string]string{"app": "other"}
	x.SetService(before)
	if _, known := x.Pods(after); known {
		t.Error("it knows a selector that it was not told")
	}
	x.SetService(after)
	if _, known := x.Pods(after); !known {
		t.Error("it does not know the selector that it was told")
	}
}

// A label that all selectors ask for is not what they are filed under.
func TestIndexFilesUnderTheRarest(t *testing.T) {
	x := NewIndex()
	for i := range 1000 {
		x.SetService(filedService(i))
	}
	for l, filed := range x.filed {
		if len(filed) > 1 {
			t.Errorf("%d Services are filed under %v", len(filed), l)
		}
	}
}

func filedService(i int) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: fmt.Sprintf("s%d", i)}}
	svc.Spec.Selector = map[string]string{"a-common": "x", "app": fmt.Sprintf("a%d", i), "tier": fmt.Sprintf("t%d", i%3)}
	return svc
}

// BenchmarkIndexPod is one change of a Pod with 10 labels among 10,000 selectors that have one label in common.
func BenchmarkIndexPod(b *testing.B) {
	x := NewIndex()
	for i := range 10000 {
		x.SetService(filedService(i))
	}
	pods := [2]*v1.Pod{}
	for i := range pods {
		labels := map[string]string{"a-common": "x", "app": "a4711", "tier": "t1", "flip": fmt.Sprint(i)}
		for k := range 6 {
			labels[fmt.Sprintf("other-%d", k)] = "y"
		}
		pods[i] = &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", Labels: maps.Clone(labels)}}
	}
	x.SetPod(pods[0])
	b.Run("same labels", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(x.SetPod(pods[0])) != 1 {
				b.Fatal("its Service is not found")
			}
		}
	})
	b.Run("other labels", func(b *testing.B) {
		b.ReportAllocs()
		for i := 1; b.Loop(); i++ {
			if len(x.SetPod(pods[i%2])) != 1 {
				b.Fatal("its Service is not found")
			}
		}
	})
}
