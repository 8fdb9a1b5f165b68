package membership

import (
	"maps"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and annotations of the objects that Viaduct keeps. The values are upstream's, so that after a switch between
// the two implementations the new controller adopts the existing objects.
const (
	EndpointsManagedByLabel = "endpoints.kubernetes.io/managed-by"
	EndpointsManagedBy      = "endpoint-controller"
	SliceManagedBy          = "endpointslice-controller.k8s.io"
	MirrorManagedBy         = "endpointslicemirroring-controller.k8s.io"

	// Objects without a counterpart in upstream have values of our own.
	ShadowManagedBy = "health.viaduct.dev" // shadow slices: a slice that a person wrote, with the results of the checks
	NamesManagedBy  = "names.viaduct.dev"  // slices of resolved names

	overCapacityTruncated = "truncated"
	skipMirrorLabel       = discovery.LabelSkipMirror
	leaderAnnotation      = "control-plane.alpha.kubernetes.io/leader"
)

// reservedLabels belong to the keeper of the object. Labels of the Service with these names are not copied.
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

// EndpointsLabels returns the labels of the Endpoints of svc: the Service's labels, and the label of the keeper.
func EndpointsLabels(svc *v1.Service) map[string]string {
	labels := serviceLabels(svc)
	labels[EndpointsManagedByLabel] = EndpointsManagedBy
	return labels
}

// EndpointsAnnotations returns the annotations for an Endpoints object that has those of have. Annotations of other
// authors are kept; ours are set or removed.
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

// SliceLabels returns the labels of the EndpointSlices of svc.
func SliceLabels(svc *v1.Service) map[string]string {
	labels := serviceLabels(svc)
	labels[discovery.LabelServiceName] = svc.Name
	labels[discovery.LabelManagedBy] = SliceManagedBy
	return labels
}

func serviceOwner(svc *v1.Service) metav1.OwnerReference {
	return *metav1.NewControllerRef(svc, v1.SchemeGroupVersion.WithKind("Service"))
}

// ManagesEndpoints says whether ep was made for a Service with a selector, by this controller or by upstream's.
func ManagesEndpoints(ep *v1.Endpoints) bool {
	return ep.Labels[EndpointsManagedByLabel] == EndpointsManagedBy
}

// WrittenByHand says whether a person keeps s. Slices of unknown controllers count as written by a person, too.
func WrittenByHand(s *discovery.EndpointSlice) bool {
	switch s.Labels[discovery.LabelManagedBy] {
	case SliceManagedBy, MirrorManagedBy, ShadowManagedBy, NamesManagedBy:
		return false
	}
	return true
}

// generateName returns the prefix of the names of an object's slices.
func generateName(name string) string {
	if strings.HasSuffix(name, "-") || strings.HasSuffix(name, ".") {
		return name
	}
	return name + "-"
}
