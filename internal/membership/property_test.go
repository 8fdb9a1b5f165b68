package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// world draws random Pods and Services from a seed that a failing test prints.
type world struct{ *rand.Rand }

func newWorld(t *testing.T) world {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to replay, set the seed to %d", seed)
		}
	})
	return world{rand.New(rand.NewPCG(seed, 1))}
}

func (w world) chance(percent int) bool { return w.IntN(100) < percent }

func (w world) service() *v1.Service {
	return web(func(svc *v1.Service) {
		if w.chance(40) {
			twoPorts(svc)
		}
		if w.chance(30) {
			svc.Spec.Ports[0].TargetPort = intstr.FromString("http")
		}
		if w.chance(20) {
			publishNotReady(svc)
		}
		if w.chance(30) {
			dualStack(svc)
		}
		if w.chance(20) {
			headless(svc)
		}
		if w.chance(20) {
			svc.Labels = map[string]string{"team": fmt.Sprint(w.IntN(3))}
		}
	})
}

func (w world) pods() []*v1.Pod {
	var pods []*v1.Pod
	for i := range w.IntN(260) {
		pods = append(pods, pod(fmt.Sprintf("p%d", i), fmt.Sprintf("10.%d.%d.%d", w.IntN(2), i/200, i%200+1), w.mishap))
	}
	return pods
}

func (w world) mishap(p *v1.Pod) {
	if w.chance(20) {
		notReady(p)
	}
	if w.chance(10) {
		deleted(p)
	}
	if w.chance(5) {
		p.Status.Phase = v1.PodSucceeded
	}
	if w.chance(5) {
		p.Labels = nil
	}
	if w.chance(20) {
		httpAt(int32(8080 + w.IntN(2)))(p)
	}
	if w.chance(5) {
		noPorts(p)
	}
	if w.chance(20) {
		p.Status.PodIPs = append(p.Status.PodIPs, v1.PodIP{IP: fmt.Sprintf("fd00::%x", w.IntN(1<<16))})
	}
	if w.chance(5) {
		p.Status.PodIP, p.Status.PodIPs = "", nil
	}
}

func shuffled[T any](w world, in []T) []T {
	out := slices.Clone(in)
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func TestOrderNeverMatters(t *testing.T) {
	w := newWorld(t)
	for range 60 {
		svc, pods := w.service(), w.pods()
		var c cluster
		c.reconcile(t, svc, w.pods()...)
		one, _ := Subsets(svc, OfPods(svc, pods, nil))
		two, _ := Subsets(svc, OfPods(svc, shuffled(w, pods), nil))
		if !apiequality.Semantic.DeepEqual(one, two) {
			t.Fatal("the order of Pods changes the subsets")
		}
		members := OfPods(svc, pods, nil)
		if !apiequality.Semantic.DeepEqual(PlanSlices(svc, members, c.slices), PlanSlices(svc, members, shuffled(w, c.slices))) {
			t.Fatal("the order of slices changes the plan")
		}
	}
}

// TestPlansConverge changes a Service and its Pods at random; reconcile checks that a plan applied leaves nothing to plan.
func TestPlansConverge(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		var c cluster
		for range 10 {
			svc, pods := w.service(), w.pods()
			c.reconcile(t, svc, pods...)
			checkSameMembers(t, svc, pods, c.slices)
		}
	}
}

// checkSameMembers compares the two spellings: whoever is ready in the subsets is ready in the slices, with the same port, and the other
// way round for the primary family.
func checkSameMembers(t *testing.T, svc *v1.Service, pods []*v1.Pod, have []*discovery.EndpointSlice) {
	t.Helper()
	subsets, _ := Subsets(svc, OfPods(svc, pods, nil))
	inSubsets, inSlices := map[string]bool{}, map[string]bool{}
	for _, s := range subsets {
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				inSubsets[fmt.Sprint(p.Name, p.Port, a.IP, a.TargetRef.Name)] = true
			}
		}
	}
	for _, s := range have {
		if string(s.AddressType) != string(Families(svc)[0]) {
			continue
		}
		for _, p := range s.Ports {
			for _, e := range s.Endpoints {
				if *e.Conditions.Ready {
					inSlices[fmt.Sprint(*p.Name, *p.Port, e.Addresses[0], e.TargetRef.Name)] = true
				}
			}
		}
	}
	if !apiequality.Semantic.DeepEqual(inSubsets, inSlices) {
		t.Fatalf("%d ready in the subsets, %d in the slices, and not the same", len(inSubsets), len(inSlices))
	}
}

// TestOneFlipIsOneWrite holds a plan to the least it can write: a Pod that only changes its readiness is one update.
func TestOneFlipIsOneWrite(t *testing.T) {
	w := newWorld(t)
	for range 30 {
		var c cluster
		svc, pods := web(), somePods(0, 1+w.IntN(400))
		c.reconcile(t, svc, pods...)
		notReady(pods[w.IntN(len(pods))])
		if n := c.reconcile(t, svc, pods...); n != 1 {
			t.Fatalf("one of %d Pods flipped: %d writes", len(pods), n)
		}
	}
}

func TestMirrorConverges(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		var c cluster
		for range 10 {
			var subsets []v1.EndpointSubset
			for range w.IntN(4) {
				s := byHand(int32(80+w.IntN(3)), nil)
				for range w.IntN(20) {
					a := v1.EndpointAddress{IP: fmt.Sprintf("10.0.0.%d", 1+w.IntN(30))}
					if w.chance(30) {
						a.IP = fmt.Sprintf("fd00::%x", 1+w.IntN(30))
					}
					if w.chance(70) {
						s.Addresses = append(s.Addresses, a)
					} else {
						s.NotReadyAddresses = append(s.NotReadyAddresses, a)
					}
				}
				subsets = append(subsets, s)
			}
			c.mirror(t, handWritten(subsets...))
			if one, two := Canonical(subsets), Canonical(shuffled(w, subsets)); !apiequality.Semantic.DeepEqual(one, two) {
				t.Fatal("the order of subsets changes their canonical form")
			}
		}
	}
}

// FuzzCanonical has any spelling survive being read and spelled again.
func FuzzCanonical(f *testing.F) {
	f.Add("10.0.0.1", "10.0.0.2", "http", int32(80), "db.example.com", int32(0))
	f.Add("fd00::1", "::ffff:10.0.0.1", "", int32(-1), "", int32(70000))
	f.Fuzz(func(t *testing.T, ready, notReady, name string, port int32, other string, otherPort int32) {
		subsets := []v1.EndpointSubset{
			{Addresses: []v1.EndpointAddress{{IP: ready}, {IP: other}}, NotReadyAddresses: []v1.EndpointAddress{{IP: notReady}}, Ports: []v1.EndpointPort{{Name: name, Port: port}}},
			{Addresses: []v1.EndpointAddress{{IP: ready, Hostname: name}}, Ports: []v1.EndpointPort{{Port: otherPort}}},
			{NotReadyAddresses: []v1.EndpointAddress{{IP: other}}},
		}
		once := Canonical(subsets)
		for _, s := range once {
			if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
				t.Error("an empty subset")
			}
		}
		if !apiequality.Semantic.DeepEqual(once, Canonical(once)) {
			t.Errorf("spelled once %v, spelled again %v", once, Canonical(once))
		}
		var c cluster
		c.mirror(t, handWritten(subsets...))
	})
}

func BenchmarkOneOfAThousandChanges(b *testing.B) {
	svc, pods := web(), somePods(0, 1000)
	var c cluster
	c.reconcile(b, svc, pods...)
	notReady(pods[500])
	b.ReportAllocs()
	for b.Loop() {
		members := OfPods(svc, pods, nil)
		Subsets(svc, members)
		PlanSlices(svc, members, c.slices)
	}
}
