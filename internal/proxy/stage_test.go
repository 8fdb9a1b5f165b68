package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/loop"
	"viaduct/internal/routing"
)

const patience = 10 * time.Second

// call is one Sync the recorder saw.
type call struct {
	table   *routing.Table
	changed []routing.Name
}

// recorder is a Backend that hands every Sync to the test and answers what the test says.
type recorder struct {
	calls   chan call
	answers chan error // one for each call, if any are there
}

func newRecorder() *recorder {
	return &recorder{calls: make(chan call), answers: make(chan error, 10)}
}

func (r *recorder) Sync(ctx context.Context, t *routing.Table, changed []routing.Name) error {
	select {
	case r.calls <- call{t, changed}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.answers:
		return err
	default:
		return nil
	}
}

func (r *recorder) Close() error { return nil }

// stage is a Proxy that runs against a fake API.
type stage struct {
	*testing.T
	client  *fake.Clientset
	backend *recorder
	proxy   *Proxy
	applied chan []routing.Name
	// backendIs, if set, makes the Proxy's Backend out of the recorder.
	backendIs func(*recorder) Backend
}

func newStage(t *testing.T, objs ...*v1.Service) *stage {
	s := &stage{T: t, client: fake.NewClientset(), backend: newRecorder(), applied: make(chan []routing.Name, 100)}
	for _, o := range objs {
		s.create(o)
	}
	return s
}

// run starts the Proxy and ends it with the test.
func (s *stage) run() {
	s.Helper()
	var backend Backend = s.backend
	if s.backendIs != nil {
		backend = s.backendIs(s.backend)
	}
	s.proxy = New(s.client, Options{
		NodeName: "here", Backend: backend, OnApplied: func(n []routing.Name) { s.applied <- n },
		Loop: loop.Options{FirstRetry: time.Millisecond, LastRetry: time.Millisecond},
	})
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- s.proxy.Run(ctx) }()
	s.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.Errorf("Run: %v", err)
		}
	})
}

func (s *stage) create(svc *v1.Service) {
	s.Helper()
	_, err := s.client.CoreV1().Services(svc.Namespace).Create(s.Context(), svc, metav1.CreateOptions{})
	s.must(err)
}

func (s *stage) update(svc *v1.Service) {
	s.Helper()
	_, err := s.client.CoreV1().Services(svc.Namespace).Update(s.Context(), svc, metav1.UpdateOptions{})
	s.must(err)
}

func (s *stage) createSlice(sl *discovery.EndpointSlice) {
	s.Helper()
	_, err := s.client.DiscoveryV1().EndpointSlices(sl.Namespace).Create(s.Context(), sl, metav1.CreateOptions{})
	s.must(err)
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// next is the next Sync.
func (s *stage) next() call {
	s.Helper()
	return receive(s.T, s.backend.calls)
}

// until is the next Sync for which ok holds.
func (s *stage) until(ok func(call) bool) call {
	s.Helper()
	for range 100 {
		if c := s.next(); ok(c) {
			return c
		}
	}
	s.Fatal("a hundred times not what was waited for")
	return call{}
}

// event waits for an Event of the reason on the Service.
func (s *stage) event(svc, reason string) string {
	s.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		w, err := s.client.CoreV1().Events("shop").Watch(s.Context(), metav1.ListOptions{})
		s.must(err)
		list, err := s.client.CoreV1().Events("shop").List(s.Context(), metav1.ListOptions{})
		s.must(err)
		at := slices.IndexFunc(list.Items, func(e v1.Event) bool {
			return e.Reason == reason &&
				e.InvolvedObject.Name == svc
		})
		if at >= 0 {
			w.Stop()
			return list.Items[at].Message
		}
		select { // for news since the list
		case <-w.ResultChan():
		case <-time.After(patience):
		}
		w.Stop()
	}
	s.Fatalf("no Event %s on %s", reason, svc)
	return ""
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("waited in vain")
		panic("not reached")
	}
}

func service(name, ip string, age time.Duration) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(2e9,
			0).Add(-age))},
		Spec: v1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []v1.ServicePort{{Name: "http", Port: 80,
			Protocol: v1.ProtocolTCP}}},
	}
}

func slice(name, svc string, addrs ...string) *discovery.EndpointSlice {
	port, portName := int32(8080), "http"
	s := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name,
			Labels: map[string]string{discovery.LabelServiceName: svc}},
		AddressType: discovery.AddressTypeIPv4,
		Ports:       []discovery.EndpointPort{{Name: &portName, Port: &port}},
	}
	here := "here"
	for _, a := range addrs {
		s.Endpoints = append(s.Endpoints, discovery.Endpoint{Addresses: []string{a}, NodeName: &here})
	}
	return s
}

func name(n string) routing.Name { return routing.Name{Namespace: "shop", Name: n} }

// backendsOf lists who serves the place ip:80.
func backendsOf(t *routing.Table, ip string) []string {
	_, pool, ok := t.Lookup(routing.Origin{}, netip.AddrPortFrom(netip.MustParseAddr(ip), 80), routing.TCP)
	if !ok {
		return []string{"nothing there"}
	}
	out := []string{}
	for _, b := range pool.Backends {
		out = append(out, fmt.Sprint(b.Addr, " ", b.Local))
	}
	return out
}
