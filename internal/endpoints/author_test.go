package endpoints_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// otherNamespace holds Pods and Services of the same names and labels as "default".
const otherNamespace = "other"

// How many names there are of each kind. There are few of them, so that what comes under a name has often been there
// before.
const (
	podNames     = 220
	serviceNames = 7
	nodeNames    = 6
)

// author does what users, nodes and other controllers do, at random: an operation is drawn from the seed and its number
// alone, whatever became of those before it.
type author struct {
	*rand.Rand
	t      *testing.T
	client kubernetes.Interface
	seed   uint64
	round  int // counts the times that all was quiet
	made   int // counts the Pods, for each to have an address of its own

	done, refused map[string]int // by the name of the operation

	// What nobody else may change, as the API answered when it was written.
	byHand  map[types.NamespacedName]*v1.Endpoints
	foreign map[types.NamespacedName]*discovery.EndpointSlice
	// selected is the round in which a Service of the name last had a selector. Endpoints that are written by hand in that
	// round are the controller's to take: it may see them before it sees that the selector is gone.
	selected map[types.NamespacedName]int
}

func newAuthor(t *testing.T, client kubernetes.Interface, seed uint64) *author {
	return &author{
		Rand: rand.New(rand.NewPCG(seed, 4)), t: t, client: client, seed: seed, done: map[string]int{},
		refused: map[string]int{},
		byHand:  map[types.NamespacedName]*v1.Endpoints{}, foreign: map[types.NamespacedName]*discovery.EndpointSlice{},
		selected: map[types.NamespacedName]int{},
	}
}

// operation is one thing that an author does. An error says that the API refused it.
type operation struct {
	name   string
	weight int
	do     func(*author) error
}

func operations() []operation {
	return slices.Concat(podOperations(), serviceOperations(), nodeOperations(), endpointsOperations(), sliceOperations())
}

// step does the operation of a number. What the API refuses because of the state that it has is no failure.
func (a *author) step(number int) {
	a.t.Helper()
	a.stepOf(number, operations())
}

// stepOf does the operation of a number, which is one of these.
func (a *author) stepOf(number int, of []operation) {
	a.t.Helper()
	a.Rand = rand.New(rand.NewPCG(a.seed, uint64(number)))
	op := a.pick(of)
	err := op.do(a)
	switch {
	case err == nil:
		a.done[op.name]++
	case apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsInvalid(err),
		apierrors.IsForbidden(err):
		a.refused[op.name]++
	default:
		a.t.Fatalf("operation %d, %s: %v", number, op.name, err)
	}
}

func (a *author) pick(of []operation) operation {
	total := 0
	for _, op := range of {
		total += op.weight
	}
	n := a.IntN(total)
	for _, op := range of {
		if n -= op.weight; n < 0 {
			return op
		}
	}
	panic("the weights do not add up")
}

func (a *author) ctx() context.Context { return a.t.Context() }

func (a *author) chance(percent int) bool { return a.IntN(100) < percent }

func oneOf[T any](a *author, of ...T) T { return of[a.IntN(len(of))] }

func (a *author) namespace() string {
	if a.chance(15) {
		return otherNamespace
	}
	return metav1.NamespaceDefault
}

// labels are of so few values that Services share Pods.
func (a *author) labels() map[string]string {
	labels := map[string]string{"app": oneOf(a, "a", "a", "a", "b", "c")}
	if a.chance(50) {
		labels["tier"] = oneOf(a, "x", "y")
	}
	return labels
}

func (a *author) serviceKey() types.NamespacedName {
	return types.NamespacedName{Namespace: a.namespace(), Name: fmt.Sprintf("s%d", a.IntN(serviceNames))}
}

func (a *author) nodeName() string { return fmt.Sprintf("n%d", a.IntN(nodeNames)) }

func keyOf(obj metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// enoughRefusals is how often an operation may be refused by chance, for want of an object that it suits.
const enoughRefusals = 100

// checkVariety fails if an operation never went through: then the run has not tried what it says it does.
func (a *author) checkVariety() {
	a.t.Helper()
	for _, op := range operations() {
		if done, refused := a.done[op.name], a.refused[op.name]; done == 0 && (refused == 0 || refused >= enoughRefusals) {
			a.t.Errorf("the operation %q never went through, and was refused %d times", op.name, a.refused[op.name])
		}
	}
}
