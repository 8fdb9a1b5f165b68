package endpoints

import (
	"sync"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/membership"
)

// Reasons why an address is no longer in any slice, if this is not a Reason of package membership.
const (
	whyPodDeleted     = "PodDeleted"
	whyServiceDeleted = "ServiceDeleted"
	whyUnwritten      = "NoLongerWritten"
	whyUnresolved     = "NoLongerResolved"
)

// reasonsOf returns a function that gives the reason for the state of an endpoint of s.
func (c *Controller) reasonsOf(s *discovery.EndpointSlice) func(e *discovery.Endpoint, listed bool) string {
	key := serviceOf(s)
	if key == nil {
		return func(*discovery.Endpoint, bool) string { return "" }
	}
	svc, err := c.watch.services.Services(key.Namespace).Get(key.Name)
	decided := sync.OnceValue(func() membership.Decision {
		ep, _ := c.watch.endpoints.Endpoints(key.Namespace).Get(key.Name) // none is nil
		in, _ := c.gather(*key, svc, ep, c.working())
		in.Controllers = membership.AllControllers()
		return c.watch.decide(in)
	})
	return func(e *discovery.Endpoint, listed bool) string {
		switch {
		case err != nil && listed:
			return "" // the cache may not have the Service yet
		case err != nil:
			return whyServiceDeleted
		case s.Labels[discovery.LabelManagedBy] == membership.SliceManagedBy:
			return c.watch.whyPod(svc, e)
		case !listed && s.Labels[discovery.LabelManagedBy] == membership.NamesManagedBy:
			return whyUnresolved
		case !listed:
			return whyUnwritten
		}
		if why := reasonIn(decided(), e); why != "" {
			return string(why)
		}
		return string(membership.StoredReason(s, e)) // the object for which it was written has changed since then
	}
}

// whyPod returns the Reason of the Pod of an endpoint.
func (w *watch) whyPod(svc *v1.Service, e *discovery.Endpoint) string {
	if e.TargetRef == nil {
		return ""
	}
	pod := w.pod(svc.Namespace, e.TargetRef.Name)
	if pod == nil || pod.UID != e.TargetRef.UID {
		return whyPodDeleted
	}
	if why := membership.WhyNot(svc, pod); why != "" {
		return string(why)
	}
	return string(membership.Judge(svc, pod).Why)
}
