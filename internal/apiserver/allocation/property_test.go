package allocation_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// sequence is a random sequence of writes to a few Services, by two servers.
type sequence struct {
	*cluster
	random *rand.Rand
	now    map[string]*corev1.Service // what there is, by name
	done   map[string]int             // by outcome
}

// After each step, whatever its result, the records are exactly what the Services hold.
func TestRecordsAreWhatServicesHold(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := &sequence{
		cluster: startCluster(t, 2, smallRanges()), random: rand.New(rand.NewPCG(seed, 0)),
		now: map[string]*corev1.Service{}, done: map[string]int{},
	}
	steps := map[string]func(*testing.T, string) error{
		"create": s.create, "create by PUT": s.put, "create for show": s.dryRun, "update": s.update,
		"update for show": s.updateDryRun,
		"stale update":    s.stale, "delete": s.delete, "delete later": s.deleteLater,
	}
	names := slices.Sorted(maps.Keys(steps))
	var last string
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	for i := range 250 {
		step, service := names[s.random.IntN(len(names))], fmt.Sprint("s", s.random.IntN(9))
		was := s.now[service]
		err := steps[step](t, service)
		s.done[fmt.Sprintf("%s, %t", step, err == nil)]++
		last = fmt.Sprintf("step %d was: %s %s, which ended with: %v; there was %v", i, step, service, err, was)
		s.checkRecords(t)
	}
	for _, outcome := range []string{"create, true", "create, false", "update, true", "update, false", "delete, true",
		"stale update, false", "delete later, true"} {
		if s.done[outcome] == 0 {
			t.Errorf("never reached: %s, of %v", outcome, s.done)
		}
	}
}

func (s *sequence) client() kubernetes.Interface { return s.clients[s.random.IntN(len(s.clients))] }

func (s *sequence) services() interface {
	Create(context.Context, *corev1.Service, metav1.CreateOptions) (*corev1.Service, error)
	Update(context.Context, *corev1.Service, metav1.UpdateOptions) (*corev1.Service, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
} {
	return s.client().CoreV1().Services("default")
}

func (s *sequence) create(t *testing.T, name string) error {
	svc := s.any(name)
	made, err := create(t.Context(), s.client(), svc)
	if err == nil {
		s.now[name] = made
	}
	return err
}

func (s *sequence) put(t *testing.T, name string) error {
	if s.now[name] != nil {
		return nil
	}
	made, err := s.services().Update(t.Context(), s.any(name), metav1.UpdateOptions{})
	if err == nil {
		s.now[name] = made
	}
	return err
}

// dryRun makes a dry run, and then creates what the dry run returned. Without other writers that must succeed.
func (s *sequence) dryRun(t *testing.T, name string) error {
	shown, err := create(t.Context(), s.client(), s.any(name), metav1.DryRunAll)
	if err != nil {
		return err
	}
	shown.ResourceVersion, shown.UID = "", ""
	if s.random.IntN(2) == 0 {
		return nil
	}
	made, err := create(t.Context(), s.client(), shown)
	if err != nil {
		t.Errorf("the result of the dry run cannot be created: %v", err)
		return err
	}
	s.now[name] = made
	return nil
}

func (s *sequence) update(t *testing.T, name string) error {
	return s.change(t, name, metav1.UpdateOptions{}, func(*corev1.Service) {})
}

func (s *sequence) updateDryRun(t *testing.T, name string) error {
	return s.change(t, name, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}}, func(*corev1.Service) {})
}

// stale is an update that fails after everything was allocated.
func (s *sequence) stale(t *testing.T, name string) error {
	return s.change(t, name, metav1.UpdateOptions{},
		func(svc *corev1.Service) { svc.Labels = map[string]string{"not a label": ""} })
}

func (s *sequence) change(t *testing.T, name string, options metav1.UpdateOptions, more func(*corev1.Service)) error {
	old := s.now[name]
	if old == nil {
		return nil
	}
	svc := s.any(name)
	svc.ResourceVersion = old.ResourceVersion
	if s.random.IntN(2) == 0 {
		svc.Spec = *old.Spec.DeepCopy()
		randomChange(&svc.Spec, s.random)
	}
	more(svc)
	updated, err := s.services().Update(t.Context(), svc, options)
	if err == nil && len(options.DryRun) == 0 {
		s.now[name] = updated
	}
	return err
}

func (s *sequence) delete(t *testing.T, name string) error {
	err := s.services().Delete(t.Context(), name, metav1.DeleteOptions{})
	delete(s.now, name)
	return err
}

// deleteLater deletes a Service that has a finalizer, and then removes the finalizer together with another change.
func (s *sequence) deleteLater(t *testing.T, name string) error {
	old := s.now[name]
	if old == nil {
		return fmt.Errorf("there is no %s", name)
	}
	held := old.DeepCopy()
	held.Finalizers = []string{"example.com/balancer"}
	held, err := s.services().Update(t.Context(), held, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	if err := s.services().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	last := held.DeepCopy()
	last.ResourceVersion, last.Finalizers = "", nil
	randomChange(&last.Spec, s.random)
	if _, err := s.services().Update(t.Context(), last, metav1.UpdateOptions{}); err != nil {
		last.Spec = held.Spec // the change was not possible; this is
		if _, err := s.services().Update(t.Context(), last, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	delete(s.now, name)
	return nil
}

// any returns a Service of any type that names some numbers, often ones that are held or that no Service can have.
func (s *sequence) any(name string) *corev1.Service {
	svc := randomService(name, s.random)
	r := s.random
	switch r.IntN(8) {
	case 0:
		svc.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com",
			Ports: svc.Spec.Ports}
	case 1:
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	case 2:
		svc.Spec.ClusterIP = []string{"10.97.0.1", "fd00::7", "10.96.0.31"}[r.IntN(3)]
	case 3:
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "udp", Port: 80, Protocol: corev1.ProtocolUDP})
		svc.Spec.Ports[0].Name = "tcp"
	case 4:
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "b", Port: 90, NodePort: int32(29998 + r.IntN(6))})
		svc.Spec.Ports[0].Name = "a"
	case 5:
		allocate := false
		svc.Spec.Type, svc.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, &allocate
	case 6:
		svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer,
			corev1.ServiceExternalTrafficPolicyLocal
		svc.Spec.HealthCheckNodePort = int32(29999 + r.IntN(8))
	case 7:
		svc.Spec.Selector = map[string]string{"not a label": ""} // refused after the allocation
	}
	return svc
}
