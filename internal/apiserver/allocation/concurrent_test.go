package allocation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/allocation"
)

// register is what the clients of a test have been allocated.
type register struct {
	mu     sync.Mutex
	holder map[string]string
}

func (r *register) add(t *testing.T, svc *corev1.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for thing := range heldBy(svc) {
		if other, ok := r.holder[thing]; ok {
			t.Errorf("%s was given to %s and to %s", thing, other, svc.Name)
		}
		r.holder[thing] = svc.Name
	}
}

// remove must be called before the request that releases the numbers.
func (r *register) remove(svc *corev1.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for thing := range heldBy(svc) {
		delete(r.holder, thing)
	}
}

// Sixty-four clients of two servers request more than there is, half of them by name. No number is allocated twice,
// and at the end none is held.
func TestNeverTwiceAndNothingLeaks(t *testing.T) {
	const clients, rounds = 64, 6
	c := startCluster(t, 2, apiserver.Options{
		ServiceCIDRs: ranges("10.96.0.0/26", "fd00::/122"), NodePorts: allocation.PortRange{First: 30000, Last: 30079},
	})
	before := c.recorded(t)
	given := &register{holder: map[string]string{}}
	var all sync.WaitGroup
	for i := range clients {
		client := c.clients[i%len(c.clients)]
		all.Go(func() {
			for round := range rounds {
				live(t, client, given, fmt.Sprintf("s%d-%d", i, round), rand.New(rand.NewPCG(uint64(i), uint64(round))))
			}
		})
	}
	all.Wait()
	c.checkRecords(t)
	if after := c.recorded(t); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("held at the end: %v, at the start: %v", after, before)
	}
}

// live creates one Service, changes its type, and deletes it.
func live(t *testing.T, client kubernetes.Interface, given *register, name string, random *rand.Rand) {
	ctx := t.Context()
	svc, err := create(ctx, client, randomService(name, random))
	if err != nil {
		expected(t, err)
		return
	}
	given.add(t, svc)
	changed := svc.DeepCopy()
	randomChange(&changed.Spec, random)
	given.remove(svc)
	if updated, err := client.CoreV1().Services(svc.Namespace).Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		expected(t, err)
		given.add(t, svc) // it is as it was
	} else {
		given.add(t, updated)
		svc = updated
	}
	given.remove(svc)
	if err := client.CoreV1().Services(svc.Namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting %s: %v", name, err)
	}
}

// expected fails the test for an error other than a full range or a number that is taken.
func expected(t *testing.T, err error) {
	t.Helper()
	if !apierrors.IsInvalid(err) && !apierrors.IsInternalError(err) {
		t.Error(err)
	}
}

func randomService(name string, random *rand.Rand) *corev1.Service {
	svc := service(name)
	types := []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer}
	svc.Spec.Type = types[random.IntN(len(types))]
	if random.IntN(2) == 0 {
		policy := corev1.IPFamilyPolicyRequireDualStack
		svc.Spec.IPFamilyPolicy = &policy
	}
	if random.IntN(2) == 0 {
		svc.Spec.ClusterIP = fmt.Sprintf("10.96.0.%d", 2+random.IntN(20))
	}
	if svc.Spec.Type != corev1.ServiceTypeClusterIP && random.IntN(2) == 0 {
		svc.Spec.Ports[0].NodePort = int32(30000 + random.IntN(20))
	}
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer && random.IntN(2) == 0 {
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	return svc
}

// randomChange changes spec to another type, or to other ports.
func randomChange(spec *corev1.ServiceSpec, random *rand.Rand) {
	switch random.IntN(4) {
	case 0:
		spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
	case 1:
		spec.Type = corev1.ServiceTypeClusterIP
	case 2:
		spec.Type = corev1.ServiceTypeNodePort
		spec.Ports[0].NodePort = int32(30000 + random.IntN(20))
	case 3:
		spec.Ports = append(spec.Ports, corev1.ServicePort{Name: "more", Port: 81, Protocol: corev1.ProtocolTCP})
		spec.Ports[0].Name = "first"
	}
}

// Servers that share nothing but the store can allocate every address of a range, and then the range is full.
func TestRangeIsFilledToTheLast(t *testing.T) {
	c := startCluster(t, 2, smallRanges())
	var all sync.WaitGroup
	const free = 30 - 1 // but for that of the Service kubernetes
	for i := range free {
		all.Go(func() {
			if _, err := create(t.Context(), c.clients[i%2], service(fmt.Sprint("s", i))); err != nil {
				t.Errorf("service %d of %d: %v", i, free, err)
			}
		})
	}
	all.Wait()
	c.checkRecords(t)
	for range 3 {
		_, err := create(t.Context(), c.clients[0], service("late"))
		if !apierrors.IsInternalError(err) {
			t.Errorf("of a full range: %v", err)
		}
	}
	if err := c.clients[1].CoreV1().Services("default").Delete(context.WithoutCancel(t.Context()), "s7",
		metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, c.clients[0], service("late")) // gets the one that was freed, by the other server
	c.checkRecords(t)
}
