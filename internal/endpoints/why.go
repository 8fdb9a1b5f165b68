package endpoints

import (
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/membership"
)

// Why an address is in a slice or is not, where that is not a Reason of membership.
const (
	whyPodDeleted     = "PodDeleted"
	whyServiceDeleted = "ServiceDeleted"
	whyUnwritten      = "NoLongerWritten"
	whyUnresolved     = "NoLongerResolved"
)

// whyOf says why the endpoints of s are as they are.
func (w *watch) whyOf(s *discovery.EndpointSlice) func(e *discovery.Endpoint, listed bool) string {
	return func(e *discovery.Endpoint, listed bool) string {
		key := serviceOf(s)
		if key == nil {
			return ""
		}
		svc, err := w.services.Services(key.Namespace).Get(key.Name)
		if err != nil && listed {
			return "" // it may not have been heard of yet
		}
		if err != nil {
			return whyServiceDeleted
		}
		if s.Labels[discovery.LabelManagedBy] == membership.SliceManagedBy {
			return w.whyPod(svc, e)
		}
		return whyWritten(s, e, listed)
	}
}

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

// whyWritten is for what people wrote, and what names stand for.
func whyWritten(s *discovery.EndpointSlice, e *discovery.Endpoint, listed bool) string {
	byName := s.Labels[discovery.LabelManagedBy] == membership.NamesManagedBy
	ready := e.Conditions.Ready == nil || *e.Conditions.Ready
	switch serving := e.Conditions.Serving; {
	case !listed && byName:
		return whyUnresolved
	case !listed:
		return whyUnwritten
	case serving != nil && !*serving && ready:
		return string(membership.AllDown)
	case serving != nil && !*serving:
		return string(membership.CheckFailed)
	case byName:
		return string(membership.ByName)
	case serving != nil:
		return string(membership.CheckPassed)
	case !ready:
		return string(membership.ByHandNotReady)
	}
	return string(membership.ByHand)
}
