package endpoints

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/membership"
)

// byPodRef finds the objects that refer to a Pod: hand-written Endpoints, and all EndpointSlices that are not made from
// Pods. The keys are their addresses, and the Pods that they name or follow.
const byPodRef = "place"

func spellAll(addrs []netip.Addr) (list []string) {
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}

func indexByPodRef(obj any) ([]string, error) {
	switch o := obj.(type) {
	case *v1.Endpoints:
		if membership.ManagesEndpoints(o) {
			return nil, nil
		}
		return podRefs(o.Namespace, membership.OfEndpoints(o.Subsets)), nil
	case *discovery.EndpointSlice:
		if o.Labels[discovery.LabelManagedBy] == membership.SliceManagedBy {
			return nil, nil
		}
		list := podRefs(o.Namespace, membership.OfSlice(o))
		for _, pod := range membership.Remembered([]*discovery.EndpointSlice{o}) {
			list = append(list, podRef(o.Namespace, pod))
		}
		return list, nil
	}
	return nil, nil
}

func podRefs(namespace string, members []membership.Member) (list []string) {
	for _, m := range members {
		list = append(list, m.Addr.String())
		if m.Target.Kind == "Pod" {
			list = append(list, podRef(namespace, m.Target.Name))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func podRef(namespace, name string) string { return namespace + "/" + name }

// pod returns the Pod of that name, nil if there is none.
func (w *watch) pod(namespace, name string) *v1.Pod {
	obj, ok, err := w.pods.GetByKey(namespace + "/" + name)
	if err != nil || !ok {
		return nil
	}
	return obj.(*v1.Pod)
}

// podsAt returns the Pods that have addr.
func (w *watch) podsAt(addr netip.Addr) []*v1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byIP.at(addr)
}

// nodeOf returns the node whose Pod CIDR contains addr, "" if there is none.
func (w *watch) nodeOf(addr netip.Addr) string {
	for _, obj := range w.nodeStore.List() {
		for _, cidr := range obj.(*v1.Node).Spec.PodCIDRs {
			if r, err := netip.ParsePrefix(cidr); err == nil && r.Contains(addr) {
				return obj.(*v1.Node).Name
			}
		}
	}
	return ""
}

// storedFindings returns the health of each address that is stored in the slices of all Services, as a
// membership.Health. An address is Down if any slice says so.
func (w *watch) storedFindings() *sync.Map {
	var states sync.Map
	for _, obj := range w.slices.List() {
		found := membership.StoredFindings([]*discovery.EndpointSlice{obj.(*discovery.EndpointSlice)})
		for addr, f := range found {
			if was, known := states.Load(addr); !known || was.(membership.Health) < f.State {
				states.Store(addr, f.State)
			}
		}
	}
	return &states
}

// podRefsChanged queues the Services with hand-written addresses of a Pod that was created, deleted or got other
// addresses.
func (w *watch) podRefsChanged(before, after *v1.Pod) {
	was, is := membership.Addresses(before), membership.Addresses(after)
	if before != nil && after != nil && slices.Equal(was, is) && before.UID == after.UID {
		return
	}
	pod := either(before, after)
	at := append(spellAll(slices.Concat(was, is)), podRef(pod.Namespace, pod.Name))
	for _, place := range at {
		for _, store := range []cache.Indexer{w.written, w.slices} {
			objs, err := store.ByIndex(byPodRef, place)
			if err != nil {
				continue // cannot happen: newWatch made the index
			}
			for _, obj := range objs {
				if key := serviceOf(obj); key != nil {
					w.observer.changed(*key, time.Time{})
				}
			}
		}
	}
	for _, addr := range was {
		if !slices.Contains(is, addr) {
			w.reportLeft(addr, before, after)
		}
	}
}

func (w *watch) reportLeft(addr netip.Addr, before, after *v1.Pod) {
	objs, err := w.written.ByIndex(byPodRef, addr.String())
	if err != nil {
		return
	}
	for _, obj := range objs {
		w.observer.podLeft(obj.(*v1.Endpoints), addr, before, after)
	}
}

// serviceOf returns the Service to which an Endpoints object or a slice belongs.
func serviceOf(obj any) *types.NamespacedName {
	switch o := obj.(type) {
	case *v1.Endpoints:
		key := keyOf(o)
		return &key
	case *discovery.EndpointSlice:
		if name := o.Labels[discovery.LabelServiceName]; name != "" {
			return &types.NamespacedName{Namespace: o.Namespace, Name: name}
		}
	}
	return nil
}
