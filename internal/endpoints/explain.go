package endpoints

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/explain"
	"viaduct/internal/membership"
)

// Explain reports on a Service as the controller sees it now; false if the caches have no Service of that name.
func (c *Controller) Explain(key types.NamespacedName) (explain.Report, bool) {
	svc, err := c.watch.services.Services(key.Namespace).Get(key.Name)
	if err != nil {
		return explain.Report{}, false
	}
	report, _ := c.explain(key, svc)
	return report, true
}

// explain reports on a Service, and returns the reason why it has no endpoints, if it has none.
func (c *Controller) explain(key types.NamespacedName, svc *v1.Service) (explain.Report, membership.OutageReason) {
	ep, _ := c.watch.endpoints.Endpoints(key.Namespace).Get(key.Name) // none is nil
	in, _ := c.gather(key, svc, ep, c.working())
	in.Controllers = membership.AllControllers()
	in.Pods = c.watch.podsIn(key.Namespace) // Pods that nearly match the selector are reported, too
	d := c.watch.decide(in)
	snapshot := explain.Snapshot{Inputs: in, Decision: d, Now: time.Now(), LastError: c.failures.of(key)}
	return explain.Service(snapshot), membership.OutageOf(in, d)
}

// podsIn returns all Pods of a namespace.
func (w *watch) podsIn(namespace string) (pods []*v1.Pod) {
	objs, err := w.pods.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil // cannot happen: the informer factory made the index
	}
	for _, obj := range objs {
		pods = append(pods, obj.(*v1.Pod))
	}
	return pods
}
