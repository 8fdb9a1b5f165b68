package apiserver

import (
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/deprecation"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
)

// warnOfDeprecated answers every request for a deprecated resource, whatever its verb, with a warning that names the
// replacement. The library does so too, but only in a binary whose linker was told its version.
func warnOfDeprecated(next http.Handler) http.Handler {
	messages := deprecatedResources()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := apirequest.RequestInfoFrom(r.Context()); ok && info.IsResourceRequest {
			if text, ok := messages[schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}]; ok {
				warning.AddWarning(r.Context(), "", text)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// deprecatedResources maps each served resource that is deprecated to what is said of it. The types themselves know
// since when.
func deprecatedResources() map[schema.GroupResource]string {
	endpoints := &corev1.Endpoints{}
	endpoints.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Endpoints"))
	return map[schema.GroupResource]string{corev1.Resource("endpoints"): deprecation.WarningMessage(endpoints)}
}
