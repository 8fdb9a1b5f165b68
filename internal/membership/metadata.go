package membership

import (
	"maps"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What marks the objects that are kept here. The values are upstream's, so that a hand-over either way adopts what is
// there.
const (
	EndpointsManagedByLabel = "endpoints.kubernetes.io/managed-by"
	EndpointsManagedBy      = "endpoint-controller"
	SliceManagedBy          = "endpointslice-controller.k8s.io"
	MirrorManagedBy         = "endpointslicemirroring-controller.k8s.io"

	// What upstream has nothing like is marked as our own.
	ShadowManagedBy = "health.viaduct.dev" // what a person wrote into a slice, with what the checks found
	NamesManagedBy  = "names.viaduct.dev"  // what names stand for

	overCapacityTruncated = "truncated"
	skipMirrorLabel       = discovery.LabelSkipMirror
	leaderAnnotation      = "control-plane.alpha.kubernetes.io/leader"
)

// reservedLabels belong to whoever keeps the object; the Service's own of the same name are not copied.
func reservedLabels() []string {
	return []string{v1.IsHeadlessService, EndpointsManagedByLabel, discovery.LabelServiceName, discovery.LabelManagedBy}
}

func serviceLabels(svc *v1.Service) map[string]string {
	labels := maps.Clone(svc.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, key := range reservedLabels() {
		delete(labels, key)
	}
	if IsHeadless(svc) {
		labels[v1.IsHeadlessService] = ""
	}
	return labels
}

// EndpointsLabels are the labels of the Endpoints of svc: the Service's, and whose it is.
func EndpointsLabels(svc *v1.Service) map[string]string {
	labels := serviceLabels(svc)
	labels[EndpointsManagedByLabel] = EndpointsManagedBy
	return labels
}

// EndpointsAnnotations are the annotations of an Endpoints object that had those of have: somebody's are kept, ours are
// set or dropped.
func EndpointsAnnotations(have map[string]string, truncated bool) map[string]string {
	annotations := maps.Clone(have)
	delete(annotations, v1.EndpointsOverCapacity)
	if truncated {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[v1.EndpointsOverCapacity] = overCapacityTruncated
	}
	return annotations
}

// SliceLabels are the labels of the EndpointSlices of svc.
func SliceLabels(svc *v1.Service) map[string]string {
	labels := serviceLabels(svc)
	labels[discovery.LabelServiceName] = svc.Name
	labels[discovery.LabelManagedBy] = SliceManagedBy
	return labels
}

func serviceOwner(svc *v1.Service) metav1.OwnerReference {
	return *metav1.NewControllerRef(svc, v1.SchemeGroupVersion.WithKind("Service"))
}

// ManagesEndpoints says whether ep was made for a Service with a selector, by this or by upstream's controller.
func ManagesEndpoints(ep *v1.Endpoints) bool {
	return ep.Labels[EndpointsManagedByLabel] == EndpointsManagedBy
}

// WrittenByHand says whether a person, or at least none of the controllers here and upstream, keeps s.
func WrittenByHand(s *discovery.EndpointSlice) bool {
	switch s.Labels[discovery.LabelManagedBy] {
	case SliceManagedBy, MirrorManagedBy, ShadowManagedBy, NamesManagedBy:
		return false
	}
	return true
}

// generateName is the start of the names of an object's slices.
func generateName(name string) string {
	if strings.HasSuffix(name, "-") || strings.HasSuffix(name, ".") {
		return name
	}
	return name + "-"
}
