package membership

import (
	"encoding/binary"
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// FuzzCanonical has any spelling survive being read and spelled again.
func FuzzCanonical(f *testing.F) {
	f.Add("10.0.0.1", "10.0.0.2", "http", int32(80), "db.example.com", int32(0))
	f.Add("fd00::1", "::ffff:10.0.0.1", "", int32(-1), "", int32(70000))
	f.Fuzz(func(t *testing.T, ready, notReady, name string, port int32, other string, otherPort int32) {
		subsets := []v1.EndpointSubset{
			{Addresses: []v1.EndpointAddress{{IP: ready}, {IP: other}}, NotReadyAddresses: []v1.EndpointAddress{{IP: notReady}},
				Ports: []v1.EndpointPort{{Name: name, Port: port}}},
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

// bytesWorld reads Pods, Services and slices from bytes; what it reads past the end is 0.
type bytesWorld struct{ data []byte }

func (w *bytesWorld) next() byte {
	if len(w.data) == 0 {
		return 0
	}
	b := w.data[0]
	w.data = w.data[1:]
	return b
}

func (w *bytesWorld) service() *v1.Service {
	return web(func(svc *v1.Service) {
		bits := w.next()
		for bit, change := range []func(*v1.Service){twoPorts, publishNotReady, dualStack, headless} {
			if bits>>bit&1 == 1 {
				change(svc)
			}
		}
		if bits>>4&1 == 1 {
			svc.Spec.Ports = nil
		}
		if bits>>5&1 == 1 && len(svc.Spec.Ports) > 0 {
			svc.Spec.Ports[0].TargetPort = intstr.FromString("http")
		}
	})
}

// pods reads three bytes for each Pod: what befell it, the end of its address, its port. Addresses may repeat, and may
// be none.
func (w *bytesWorld) pods() []*v1.Pod {
	var pods []*v1.Pod
	for i := 0; len(w.data) >= 3 && i < 300; i++ {
		bits, end, port := w.next(), w.next(), w.next()
		p := pod(fmt.Sprintf("p%d", i), fmt.Sprintf("10.0.%d.%d", bits>>6, end), httpAt(int32(port)))
		for bit, change := range []func(*v1.Pod){notReady, deleted, noPorts, noConditions} {
			if bits>>bit&1 == 1 && len(p.Status.Conditions) > 0 {
				change(p)
			}
		}
		switch bits >> 4 & 3 {
		case 1:
			p.Status.PodIPs = append(p.Status.PodIPs, v1.PodIP{IP: fmt.Sprintf("fd00::%x", end)})
		case 2:
			p.Status.PodIPs[0].IP = string([]byte{end, port})
		}
		pods = append(pods, p)
	}
	return pods
}

// FuzzSubsets has any Pods spelled both ways and holds the spellings to what the API and the readers of them count on.
func FuzzSubsets(f *testing.F) {
	f.Add([]byte{0, 0, 1, 80, 1, 2, 80, 2, 3, 80}, []byte{})
	f.Add([]byte{0x27, 0x10, 1, 80, 0x14, 2, 81, 0x20, 3, 80}, []byte{1, 0, 1, 80})
	f.Add(binary.LittleEndian.AppendUint64([]byte{0x18}, 1<<40), []byte{0x0c, 0, 9, 9})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var c cluster
		for _, data := range [][]byte{first, second, first} {
			w := &bytesWorld{data}
			svc, pods := w.service(), w.pods()
			c.reconcile(t, svc, pods...) // checks the slices
			checkFamilies(t, c.slices)
			subsets, _ := Subsets(svc, OfPods(svc, pods, nil))
			checkSubsets(t, svc, pods, subsets)
		}
	})
}

func checkFamilies(t *testing.T, have []*discovery.EndpointSlice) {
	t.Helper()
	for _, s := range have {
		for _, e := range s.Endpoints {
			if addr := mustAddr(t, e.Addresses[0]); len(e.Addresses) != 1 || string(familyOf(addr)) != string(s.AddressType) {
				t.Errorf("slice of %s holds %v", s.AddressType, e.Addresses)
			}
		}
	}
}
