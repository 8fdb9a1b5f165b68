package membership

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// seedVariable replays a failed test: it prints what to set it to.
const seedVariable = "MEMBERSHIP_SEED"

// world draws random Pods and Services from a seed that a failing test prints.
type world struct{ *rand.Rand }

func newWorld(t *testing.T) world {
	seed := rand.Uint64()
	if replay := os.Getenv(seedVariable); replay != "" {
		n, err := strconv.ParseUint(replay, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seed = n
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to replay: %s=%d go test -run '^%s$' ./internal/membership", seedVariable, seed, t.Name())
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

// nudged are pods after a few of them went, came or changed.
func (w world) nudged(pods []*v1.Pod) []*v1.Pod {
	pods = slices.Clone(pods)
	for range w.IntN(8) {
		switch i := w.IntN(len(pods) + 1); {
		case i == len(pods) || w.chance(30):
			n := 1000 + w.IntN(5000)
			pods = append(pods, pod(fmt.Sprintf("new%d", n), fmt.Sprintf("10.3.%d.%d", n/200, n%200+1)))
		case w.chance(50):
			pods = slices.Delete(pods, i, i+1)
		default:
			pods[i] = pod(pods[i].Name, cmp.Or(pods[i].Status.PodIP, "10.4.0.1"), w.mishap)
		}
	}
	slices.SortFunc(pods, func(a, b *v1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(pods, func(a, b *v1.Pod) bool { return a.Name == b.Name })
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
		if !apiequality.Semantic.DeepEqual(PlanSlices(svc, members, c.slices), PlanSlices(svc, members,
			shuffled(w, c.slices))) {
			t.Fatal("the order of slices changes the plan")
		}
	}
}

// TestPlansConverge changes a Service and its Pods at random; reconcile checks that a plan applied leaves nothing to
// plan.
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

// checkSameMembers compares the two spellings: whoever is ready in the subsets is ready in the slices, with the same
// port, and the other way round for the primary family.
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

// handWritten draws Endpoints as a careless person may write them.
func (w world) handWritten() *v1.Endpoints {
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
		if w.chance(10) {
			s.Ports = nil
		}
		subsets = append(subsets, s)
	}
	ep := handWritten(subsets...)
	ep.Labels = map[string]string{"team": fmt.Sprint(w.IntN(3))}
	ep.Annotations = map[string]string{"note": fmt.Sprint(w.IntN(3))}
	return ep
}

func TestMirrorConverges(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		var c cluster
		for range 10 {
			ep := w.handWritten()
			one, _ := PlanMirror(ep, c.slices, nil)
			two, _ := PlanMirror(ep, shuffled(w, c.slices), nil)
			if !apiequality.Semantic.DeepEqual(one, two) {
				t.Fatal("the order of slices changes the plan")
			}
			if one, two := Canonical(ep.Subsets), Canonical(shuffled(w, ep.Subsets)); !apiequality.Semantic.DeepEqual(one, two) {
				t.Fatal("the order of subsets changes their canonical form")
			}
			c.mirror(t, ep)
		}
	}
}
