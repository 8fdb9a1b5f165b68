package lifecycle_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// TestServersTogether runs three servers over one store. Each of them does the work of this package.
func TestServersTogether(t *testing.T) {
	cluster, pki := apitest.Etcd(t), t.TempDir()
	start := func() *apitest.Server {
		return apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), PKIDir: pki, Etcd: cluster})
	}
	first, second := start(), start()
	start()
	s, other := &fixture{t, first, first.Client(t)}, &fixture{t, second, second.Client(t)}
	for i := range 10 {
		name := fmt.Sprintf("n%d", i)
		s.namespace(name)
		s.fill(name)
	}
	owner, stays := s.config("owner"), other.config("stays")
	for i := range 50 {
		s.config(fmt.Sprintf("child-%d", i), blockedBy(owner))
		other.config(fmt.Sprintf("kept-%d", i), by(owner), by(stays))
	}
	s.delete("owner", metav1.DeletePropagationForeground)
	for i := range 10 {
		if err := other.CoreV1().Namespaces().Delete(t.Context(), fmt.Sprintf("n%d", i), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.await("all namespaces are gone", func() bool {
		list, err := s.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 4
	})
	s.await("the owner and the objects without another owner are gone", func() bool {
		list, err := s.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 1+50+1 // the second owner, its dependents, the certificate authority
	})
}

// BenchmarkDependents measures how long the deletion of 10,000 dependents takes after that of their owner.
func BenchmarkDependents(b *testing.B) {
	const dependents, clients = 10_000, 16
	server := apitest.StartIn(b, b.TempDir(), netip.MustParsePrefix("127.96.0.0/16"))
	configs := server.Client(b).CoreV1().ConfigMaps("default")
	for b.Loop() {
		b.StopTimer()
		owner, err := configs.Create(b.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}},
			metav1.CreateOptions{})
		if err != nil {
			b.Fatal(err)
		}
		var making sync.WaitGroup
		for c := range clients {
			making.Go(func() {
				for i := c; i < dependents; i += clients {
					cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("child-%d", i),
						OwnerReferences: []metav1.OwnerReference{by(owner)}}}
					if _, err := configs.Create(b.Context(), cm, metav1.CreateOptions{}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		making.Wait()
		b.StartTimer()
		if err := configs.Delete(b.Context(), "owner", metav1.DeleteOptions{}); err != nil {
			b.Fatal(err)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		for left := dependents; left > 1; <-tick.C {
			list, err := configs.List(b.Context(), metav1.ListOptions{ResourceVersion: "0", Limit: 2})
			if err != nil {
				b.Fatal(err)
			}
			left = len(list.Items) // the certificate authority remains
		}
		tick.Stop()
	}
	b.ReportMetric(dependents*float64(b.N)/b.Elapsed().Seconds(), "ended/s")
}
