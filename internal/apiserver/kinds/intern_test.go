package kinds

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"viaduct/internal/apiserver/resource"
)

// TestInternChangesNothing draws two versions of objects and checks that interning changes neither.
func TestInternChangesNothing(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		for _, draw := range []func(*rand.Rand) resource.Object{drawEndpoints, drawSlice, drawPod} {
			before, obj := draw(r), draw(r)
			wasBefore, was := before.DeepCopyObject(), obj.DeepCopyObject()
			intern(obj, before)
			if !apiequality.Semantic.DeepEqual(obj, was) || !apiequality.Semantic.DeepEqual(before, wasBefore) {
				t.Fatalf("seed %d: interning changed an object:\n%+v\nwas\n%+v", seed, obj, was)
			}
		}
	}
}

// TestInternShares checks that the next version shares the unchanged addresses.
func TestInternShares(t *testing.T) {
	ips := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5"}
	tests := []struct {
		name          string
		before, after []string
		shared        int
	}{
		{"the same", ips, ips, 4},
		{"one more", ips, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}, 4},
		{"one less", ips, []string{"10.0.0.1", "10.0.0.3", "10.0.0.5"}, 3},
		{"the first gone", ips, ips[1:], 3},
		{"the last gone", ips, ips[:3], 3},
		{"none before", nil, ips, 0},
		{"others", ips, []string{"10.1.0.1", "10.1.0.2"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, after := endpointsOf(tt.before), endpointsOf(tt.after)
			internEndpoints(after, before)
			known := map[*corev1.ObjectReference]bool{}
			for _, a := range before.Subsets[0].Addresses {
				known[a.TargetRef] = true
			}
			shared := 0
			for _, a := range after.Subsets[0].Addresses {
				if known[a.TargetRef] {
					shared++
				}
			}
			if shared != tt.shared {
				t.Errorf("%d addresses are shared with the preceding version, want %d", shared, tt.shared)
			}
		})
	}
}

// intern is the interning of the kind of obj.
func intern(obj, before resource.Object) {
	switch o := obj.(type) {
	case *corev1.Pod:
		internPod(o, before.(*corev1.Pod))
	case *corev1.Endpoints:
		internEndpoints(o, before.(*corev1.Endpoints))
	case *discoveryv1.EndpointSlice:
		internEndpointSlice(o, before.(*discoveryv1.EndpointSlice))
	}
}

func endpointsOf(ips []string) *corev1.Endpoints {
	ep := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Subsets: []corev1.EndpointSubset{{}}}
	for _, ip := range ips {
		node := "n1"
		ep.Subsets[0].Addresses = append(ep.Subsets[0].Addresses, corev1.EndpointAddress{
			IP: ip, NodeName: &node, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "pod-" + ip},
		})
	}
	return ep
}

func drawMeta(r *rand.Rand) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: "a", Namespace: "b", UID: types.UID(fmt.Sprint(r.IntN(2))), ResourceVersion: fmt.Sprint(r.IntN(1000)),
		Labels:      map[string]string{"app": fmt.Sprint(r.IntN(2))},
		Annotations: map[string]string{"note": fmt.Sprint(r.IntN(2))},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: fmt.Sprint(r.IntN(2)),
			FieldsV1: &metav1.FieldsV1{Raw: fmt.Append(nil, `{"f:a":`, r.IntN(2), `}`)}}},
	}
}

func drawIPs(r *rand.Rand) []string {
	var ips []string
	for i := range 8 {
		if r.IntN(3) > 0 {
			ips = append(ips, fmt.Sprintf("10.0.0.%d", i))
		}
	}
	return ips
}

func drawEndpoints(r *rand.Rand) resource.Object {
	ep := endpointsOf(drawIPs(r))
	ep.ObjectMeta = drawMeta(r)
	for i := range ep.Subsets[0].Addresses {
		ep.Subsets[0].Addresses[i].TargetRef.UID = types.UID(fmt.Sprint(r.IntN(3)))
	}
	if r.IntN(4) == 0 {
		ep.Subsets = append(ep.Subsets, endpointsOf(drawIPs(r)).Subsets...)
	}
	return ep
}

func drawSlice(r *rand.Rand) resource.Object {
	s := &discoveryv1.EndpointSlice{ObjectMeta: drawMeta(r), AddressType: discoveryv1.AddressTypeIPv4}
	for _, ip := range drawIPs(r) {
		ready, node := r.IntN(3) > 0, fmt.Sprint(r.IntN(2))
		e := discoveryv1.Endpoint{Addresses: []string{ip}, NodeName: &node,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
		if r.IntN(5) == 0 {
			e.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: fmt.Sprint(r.IntN(2))}}}
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func drawPod(r *rand.Rand) resource.Object {
	return &corev1.Pod{
		ObjectMeta: drawMeta(r),
		Spec: corev1.PodSpec{NodeName: fmt.Sprint(r.IntN(2)),
			Containers: []corev1.Container{{Name: "c", Image: fmt.Sprint(r.IntN(2))}}},
		Status: corev1.PodStatus{PodIP: fmt.Sprint(r.IntN(2))},
	}
}
