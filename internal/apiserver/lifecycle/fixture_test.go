package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver/apitest"
)

// awaitTimeout is far above the milliseconds that each awaited change takes.
const awaitTimeout = 30 * time.Second

// fixture is a real server and an administrator's client.
type fixture struct {
	*testing.T
	server *apitest.Server
	kubernetes.Interface
}

func newFixture(t *testing.T) *fixture {
	server := apitest.Start(t)
	return &fixture{t, server, server.Client(t)}
}

// must ends the test if there is an error.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// await polls done until it is true.
func (s *fixture) await(what string, done func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), awaitTimeout)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			s.Fatalf("not within %s: %s", awaitTimeout, what)
		case <-tick.C:
		}
	}
}

func (s *fixture) namespace(name string) *corev1.Namespace {
	s.Helper()
	ns, err := s.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		metav1.CreateOptions{})
	return must(s.T, ns, err)
}

func (s *fixture) namespaceIsGone(name string) bool {
	_, err := s.CoreV1().Namespaces().Get(s.Context(), name, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// config creates a config map in the namespace default with the given owners.
func (s *fixture) config(name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	s.Helper()
	cm, err := s.CoreV1().ConfigMaps("default").Create(s.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}}, metav1.CreateOptions{})
	return must(s.T, cm, err)
}

func (s *fixture) get(name string) (*corev1.ConfigMap, error) {
	return s.CoreV1().ConfigMaps("default").Get(s.Context(), name, metav1.GetOptions{})
}

func (s *fixture) isGone(name string) bool {
	_, err := s.get(name)
	return apierrors.IsNotFound(err)
}

// delete deletes a config map; an empty policy is the default.
func (s *fixture) delete(name string, policy metav1.DeletionPropagation) {
	s.Helper()
	options := metav1.DeleteOptions{}
	if policy != "" {
		options.PropagationPolicy = &policy
	}
	if err := s.CoreV1().ConfigMaps("default").Delete(s.Context(), name, options); err != nil {
		s.Fatal(err)
	}
}

func by(cm *corev1.ConfigMap) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: cm.Name, UID: cm.UID}
}

func blockedBy(cm *corev1.ConfigMap) metav1.OwnerReference {
	yes, ref := true, by(cm)
	ref.BlockOwnerDeletion = &yes
	return ref
}

// setFinalizers replaces the finalizers of a config map.
func (s *fixture) setFinalizers(name string, finalizers ...string) {
	s.Helper()
	list := "null"
	if len(finalizers) > 0 {
		list = fmt.Sprintf("%q", finalizers[0])
		list = "[" + list + "]"
	}
	_, err := s.CoreV1().ConfigMaps("default").Patch(s.Context(), name, types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":`+list+`}}`), metav1.PatchOptions{})
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Fatal(err)
	}
}
