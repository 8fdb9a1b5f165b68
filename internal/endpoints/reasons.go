package endpoints

import (
	"net/netip"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/explain"
	"viaduct/internal/membership"
)

// Explain tells the story of a Service as the controller sees it now; false if there is none of that name, as far as
// the caches know.
func (c *Controller) Explain(key types.NamespacedName) (explain.Report, bool) {
	svc, err := c.watch.services.Services(key.Namespace).Get(key.Name)
	if err != nil {
		return explain.Report{}, false
	}
	w := explain.World{Now: time.Now(), Service: svc, LastError: c.failures.of(key), At: map[netip.Addr][]*v1.Pod{},
		Topology: c.watch.withTopology}
	w.Endpoints, _ = c.watch.endpoints.Endpoints(key.Namespace).Get(key.Name) // none is nil
	pods, slices := c.watch.pods, c.watch.slices
	if objs, err := pods.ByIndex(cache.NamespaceIndex, key.Namespace); err == nil {
		for _, obj := range objs {
			w.Pods = append(w.Pods, obj.(*v1.Pod))
		}
	}
	if objs, err := slices.ByIndex(byService, key.String()); err == nil {
		for _, obj := range objs {
			w.Slices = append(w.Slices, obj.(*discovery.EndpointSlice))
		}
	}
	if !membership.HasSelector(svc) {
		c.whoIsThere(&w)
	}
	return explain.Service(w), true
}

// whoIsThere looks up the Pods at the addresses of w.
func (c *Controller) whoIsThere(w *explain.World) {
	var members []membership.Member
	if w.Endpoints != nil {
		members = membership.OfEndpoints(w.Endpoints.Subsets)
	}
	for _, s := range w.Slices {
		members = append(members, membership.OfSlice(s)...)
	}
	for _, m := range members {
		w.At[m.Addr] = c.watch.podsAt(m.Addr)
	}
}

// withTopology calls f with the zones of the nodes, which are not to be used after that.
func (w *watch) withTopology(f func(*membership.Topology)) {
	w.nodes.RLock()
	defer w.nodes.RUnlock()
	f(w.topology)
}
