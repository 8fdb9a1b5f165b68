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

// forgetful is a store whose watches end before they told anything: what changes meanwhile shows only in the next list.
type forgetful struct {
	Store
	lists chan []corev1.ConfigMap
	end   context.CancelFunc // called when there is no further list
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
	var looked []types.UID
	c := &collector{graph: newGraph(), look: func(uid types.UID) { looked = append(looked, uid) }}
	ready := 0
	follow(ctx, configs, c, func() { ready++ }, slog.New(slog.DiscardHandler))
	if !slices.Contains(looked, "child") {
		t.Errorf("the object whose owner went while nobody watched is not looked at, only %v", looked)
	}
	if _, lives := c.graph.place("owner"); lives {
		t.Error("the owner is still taken to live")
	}
	if _, lives := c.graph.place("other"); !lives {
		t.Error("what was in both lists is taken to be gone")
	}
	if ready != 2 {
		t.Errorf("ready was said %d times for 2 answers", ready)
	}
}

// TestTheGraphIsSmall bounds what 10,000 objects cost: few of them have owners as a rule, but all may.
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
				t.Errorf("it knows %d objects", len(g.live))
			}
			t.Logf("%d bytes for each object", each)
		})
	}
}

// heap is how much memory is in use, in bytes.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
