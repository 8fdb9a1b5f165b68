package endpoints

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
)

// byPlace leads from a Pod to what people wrote about it: Endpoints and EndpointSlices that people wrote or that
// follow, by their addresses, and by the Pods of their targetRefs.
const byPlace = "place"

func spellAll(addrs []netip.Addr) (list []string) {
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}

func indexByPlace(obj any) ([]string, error) {
	switch o := obj.(type) {
	case *v1.Endpoints:
		if membership.ManagesEndpoints(o) {
			return nil, nil
		}
		return places(o.Namespace, membership.OfEndpoints(o.Subsets)), nil
	case *discovery.EndpointSlice:
		if o.Labels[discovery.LabelManagedBy] == membership.SliceManagedBy {
			return nil, nil
		}
		list := places(o.Namespace, membership.OfSlice(o))
		for _, pod := range membership.Remembered([]*discovery.EndpointSlice{o}) {
			list = append(list, placeOfPod(o.Namespace, pod))
		}
		return list, nil
	}
	return nil, nil
}

func places(namespace string, members []membership.Member) (list []string) {
	for _, m := range members {
		list = append(list, m.Addr.String())
		if m.Target.Kind == "Pod" {
			list = append(list, placeOfPod(namespace, m.Target.Name))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func placeOfPod(namespace, name string) string { return namespace + "/" + name }

// pod is the Pod of that name, nil if there is none.
func (w *watch) pod(namespace, name string) *v1.Pod {
	obj, ok, err := w.pods.GetByKey(namespace + "/" + name)
	if err != nil || !ok {
		return nil
	}
	return obj.(*v1.Pod)
}

// podsAt are the Pods that have addr.
func (w *watch) podsAt(addr netip.Addr) []*v1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.book.at(addr)
}

// foreign says whose addr is, if it is a Pod's of another namespace or in the range of a node's Pods and of none of
// namespace; else "".
func (w *watch) foreign(namespace string, addr netip.Addr) string {
	pods := w.podsAt(addr)
	switch {
	case ownsOne(pods, namespace):
		return ""
	case len(pods) > 0:
		return fmt.Sprintf("it is the address of Pod %s/%s", pods[0].Namespace, pods[0].Name)
	}
	for _, obj := range w.nodeStore.List() {
		for _, cidr := range obj.(*v1.Node).Spec.PodCIDRs {
			if r, err := netip.ParsePrefix(cidr); err == nil && r.Contains(addr) {
				return fmt.Sprintf("it is in the range of Pods of node %s, and of no Pod of this namespace", obj.(*v1.Node).Name)
			}
		}
	}
	return ""
}

// writtenSlices are those that people wrote for a Service.
func (w *watch) writtenSlices(key types.NamespacedName) (list []*discovery.EndpointSlice) {
	objs, err := w.slices.ByIndex(byService, key.String())
	if err != nil {
		return nil // the index is there: newWatch made it
	}
	for _, obj := range objs {
		if s := obj.(*discovery.EndpointSlice); membership.WrittenByHand(s) {
			list = append(list, s)
		}
	}
	return list
}

// knownStates are the addresses of which some slice says that they answer, or that they do not.
func (w *watch) knownStates() *sync.Map {
	var states sync.Map
	for _, obj := range w.slices.List() {
		if s := obj.(*discovery.EndpointSlice); s.Labels[discovery.LabelManagedBy] != membership.SliceManagedBy &&
			!membership.WrittenByHand(s) {
			for addr, up := range membership.KnownStates(s) {
				if was, known := states.Load(addr); !known || was.(bool) {
					states.Store(addr, up)
				}
			}
		}
	}
	return &states
}

// placeChanged looks again at what people wrote about a Pod that came, went or moved, and tells of addresses that are
// no longer its own.
func (w *watch) placeChanged(before, after *v1.Pod) {
	was, is := membership.Addresses(before), membership.Addresses(after)
	if before != nil && after != nil && slices.Equal(was, is) && before.UID == after.UID {
		return
	}
	pod := either(before, after)
	at := append(spellAll(slices.Concat(was, is)), placeOfPod(pod.Namespace, pod.Name))
	for _, place := range at {
		for _, store := range []cache.Indexer{w.hand, w.slices} {
			objs, err := store.ByIndex(byPlace, place)
			if err != nil {
				continue // the index is there: newWatch made it
			}
			for _, obj := range objs {
				if key := serviceOf(obj); key != nil {
					w.changed(*key, time.Time{})
				}
			}
		}
	}
	for _, addr := range was {
		if !slices.Contains(is, addr) {
			w.tellLeft(addr, before, after)
		}
	}
}

func (w *watch) tellLeft(addr netip.Addr, before, after *v1.Pod) {
	objs, err := w.hand.ByIndex(byPlace, addr.String())
	if err != nil {
		return
	}
	for _, obj := range objs {
		w.left(obj.(*v1.Endpoints), addr, before, after)
	}
}

// serviceOf is the Service that an Endpoints object or a slice belongs to.
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

// follows says whether connections are to follow the Pods for which the addresses of ep were written.
func (c *Controller) follows(ep *v1.Endpoints) bool {
	ofEp, _ := annotations.OfEndpoints(ep)
	svc, err := c.watch.services.Services(ep.Namespace).Get(ep.Name)
	if err != nil {
		return false
	}
	settings, _ := annotations.OfService(svc)
	return settings.Or(ofEp).Follow
}
