package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

func owned(uid types.UID, owners ...types.UID) corev1.ConfigMap {
	cm := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cm-" + string(uid), Namespace: "default", UID: uid}}
	for _, owner := range owners {
		cm.OwnerReferences = append(cm.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap",
			Name: "cm-" + string(owner), UID: owner})
	}
	return cm
}

// forgetful is a store whose watches end before their first event. Changes show only in the next list.
type forgetful struct {
	Store
	lists chan []corev1.ConfigMap
	end   context.CancelFunc // called after the last list
}

func (f *forgetful) List(ctx context.Context, _ *internalversion.ListOptions) (apiruntime.Object, error) {
	select {
	case items := <-f.lists:
		return &corev1.ConfigMapList{Items: items}, nil
	default:
		f.end()
		return nil, ctx.Err()
	}
}

func (f *forgetful) Watch(context.Context, *internalversion.ListOptions) (watch.Interface, error) {
	w := watch.NewFake()
	w.Stop()
	return w, nil
}

func TestALostWatchHeals(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store := &forgetful{lists: make(chan []corev1.ConfigMap, 2), end: cancel}
	store.lists <- []corev1.ConfigMap{owned("owner"), owned("child", "owner"), owned("other")}
	store.lists <- []corev1.ConfigMap{owned("child", "owner"), owned("other")}
	configs := &Resource{GroupResource: corev1.Resource("configmaps"), Kind: "ConfigMap", Namespaced: true, Store: store}
	var queued []types.UID
	c := &collector{graph: newGraph(), enqueue: func(uid types.UID) { queued = append(queued, uid) }}
	ready := 0
	follow(ctx, configs, c, func() { ready++ }, slog.New(slog.DiscardHandler))
	if !slices.Contains(queued, "child") {
		t.Errorf("queued: %v, want the child whose owner was deleted while no watch was open", queued)
	}
	if _, lives := c.graph.locate("owner"); lives {
		t.Error("the graph still has the owner")
	}
	if _, lives := c.graph.locate("other"); !lives {
		t.Error("the graph has lost an object of both lists")
	}
	if ready != 2 {
		t.Errorf("ready was called %d times for 2 lists", ready)
	}
}

// TestTheGraphIsSmall bounds the memory of 10,000 objects. Few objects have owners as a rule, but all may.
func TestTheGraphIsSmall(t *testing.T) {
	const objects = 10_000
	uid := func(i int) types.UID { return types.UID(fmt.Sprintf("%036d", i)) }
	for _, row := range []struct {
		name   string
		owners func(i int) []types.UID
		limit  uint64 // bytes for each
	}{
		{"without owners", func(int) []types.UID { return nil }, 250},
		{"with an owner each", func(i int) []types.UID { return []types.UID{uid(objects + i/100)} }, 700},
	} {
		t.Run(row.name, func(t *testing.T) {
			configs := &Resource{GroupResource: corev1.Resource("configmaps"), Kind: "ConfigMap", Namespaced: true}
			before, g := heap(), newGraph()
			for i := range objects {
				cm := owned(uid(i), row.owners(i)...)
				g.set(configs, &cm)
			}
			each := (max(heap(), before) - before) / objects
			if each > row.limit {
				t.Errorf("%d bytes for each object, more than %d", each, row.limit)
			}
			if len(g.live) != objects {
				t.Errorf("the graph has %d objects", len(g.live))
			}
			t.Logf("%d bytes for each object", each)
		})
	}
}

// heap returns the memory in use, in bytes.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
