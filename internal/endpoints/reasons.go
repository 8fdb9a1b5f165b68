package endpoints

import (
	"cmp"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/membership"
)

// An Explanation says who is behind a Service and who is not, and why, as the controller sees it now.
type Explanation struct {
	Namespace string            `json:"namespace"`
	Service   string            `json:"service"`
	Type      v1.ServiceType    `json:"type"`
	Selector  map[string]string `json:"selector,omitempty"`
	Pods      []PodReason       `json:"pods"` // those selected, and those that nearly are; by name
	Endpoints *WrittenEndpoints `json:"endpoints,omitempty"`
	Slices    []WrittenSlice    `json:"slices"`
	LastError string            `json:"lastError,omitempty"` // of the last attempt to write, if it failed
}

// PodReason is one Pod.
type PodReason struct {
	Name     string            `json:"name"`
	In       bool              `json:"in"`    // it is listed
	Ready    bool              `json:"ready"` // it gets new connections
	Reason   membership.Reason `json:"reason"`
	Sentence string            `json:"sentence"`        // the reason in words, about the Pod
	Since    *time.Time        `json:"since,omitempty"` // since when, if that is known
}

// WrittenEndpoints counts what the Endpoints object says.
type WrittenEndpoints struct {
	Ready    int  `json:"ready"`
	NotReady int  `json:"notReady"`
	ByHand   bool `json:"byHand"` // a person wrote it
}

// WrittenSlice counts what one EndpointSlice says.
type WrittenSlice struct {
	Name      string                `json:"name"`
	ManagedBy string                `json:"managedBy"`
	Type      discovery.AddressType `json:"addressType"`
	Ready     int                   `json:"ready"`
	NotReady  int                   `json:"notReady"`
}

// Explain explains a Service; false if there is none of that name, as far as the caches know.
func (c *Controller) Explain(key types.NamespacedName) (Explanation, bool) {
	svc, err := c.watch.services.Services(key.Namespace).Get(key.Name)
	if err != nil {
		return Explanation{}, false
	}
	e := Explanation{
		Namespace: svc.Namespace, Service: svc.Name, Type: svc.Spec.Type, Selector: svc.Spec.Selector,
		Pods: c.podReasons(svc), Slices: c.writtenSlices(key), LastError: c.failures.of(key),
	}
	if ep, err := c.watch.endpoints.Endpoints(key.Namespace).Get(key.Name); err == nil {
		e.Endpoints = &WrittenEndpoints{ByHand: !membership.ManagesEndpoints(ep)}
		for _, s := range ep.Subsets {
			e.Endpoints.Ready += len(s.Addresses)
			e.Endpoints.NotReady += len(s.NotReadyAddresses)
		}
	}
	return e, true
}

func (c *Controller) podReasons(svc *v1.Service) []PodReason {
	reasons := []PodReason{}
	if !membership.HasSelector(svc) || svc.Spec.Type == v1.ServiceTypeExternalName {
		return reasons
	}
	objs, err := c.watch.pods.ByIndex(cache.NamespaceIndex, svc.Namespace)
	if err != nil {
		return reasons // every informer of a factory has this index
	}
	for _, obj := range objs {
		pod := obj.(*v1.Pod)
		if r := reasonOf(svc, pod); r.Reason != membership.NotSelected || membership.NearlySelects(svc, pod) {
			reasons = append(reasons, r)
		}
	}
	slices.SortFunc(reasons, func(a, b PodReason) int { return cmp.Compare(a.Name, b.Name) })
	return reasons
}

func reasonOf(svc *v1.Service, pod *v1.Pod) PodReason {
	v := membership.Judge(svc, pod)
	if why := membership.WhyNot(svc, pod); why != "" {
		v = membership.Verdict{Why: why}
	}
	return PodReason{Name: pod.Name, In: v.In, Ready: v.Ready, Reason: v.Why, Sentence: v.Why.Sentence(), Since: since(pod, v.Why)}
}

// since is when a Reason began to hold, as far as the Pod tells.
func since(pod *v1.Pod, why membership.Reason) *time.Time {
	switch why {
	case membership.Ready, membership.NotReady, membership.PublishedNotReady:
		for _, cond := range pod.Status.Conditions {
			if cond.Type == v1.PodReady && !cond.LastTransitionTime.IsZero() {
				return &cond.LastTransitionTime.Time
			}
		}
	case membership.Terminating:
		told := pod.DeletionTimestamp.Time // when it is to be gone
		if grace := pod.DeletionGracePeriodSeconds; grace != nil {
			told = told.Add(-time.Duration(*grace) * time.Second)
		}
		return &told
	}
	return nil
}

func (c *Controller) writtenSlices(key types.NamespacedName) []WrittenSlice {
	written := []WrittenSlice{}
	objs, err := c.watch.slices.ByIndex(byService, key.String())
	if err != nil {
		return written // the index is there: newWatch made it
	}
	for _, obj := range objs {
		s := obj.(*discovery.EndpointSlice)
		w := WrittenSlice{Name: s.Name, ManagedBy: s.Labels[discovery.LabelManagedBy], Type: s.AddressType}
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				w.Ready++
			} else {
				w.NotReady++
			}
		}
		written = append(written, w)
	}
	slices.SortFunc(written, func(a, b WrittenSlice) int { return cmp.Compare(a.Name, b.Name) })
	return written
}
