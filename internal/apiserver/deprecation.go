package apiserver

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/deprecation"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"viaduct/internal/apiserver/resource"
)

// warnOfDeprecated adds a warning to the response of every request for a deprecated resource, whatever its verb. The
// library does so too, but only in a binary whose linker set its version.
func warnOfDeprecated(next http.Handler, messages map[schema.GroupResource]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := apirequest.RequestInfoFrom(r.Context()); ok && info.IsResourceRequest {
			if text, ok := messages[schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}]; ok {
				warning.AddWarning(r.Context(), "", text)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// deprecatedResources maps the deprecated ones of served to their warnings, which name the replacements. The Go types
// know the release of their deprecation.
func deprecatedResources(served []resource.Served, schemes *resource.Schemes) map[schema.GroupResource]string {
	messages := map[schema.GroupResource]string{}
	for _, s := range served {
		obj := s.New()
		if !deprecation.IsDeprecated(obj, versionMajor, versionMinor) {
			continue
		}
		if gvks, _, err := schemes.Documented.ObjectKinds(obj); err == nil {
			obj.GetObjectKind().SetGroupVersionKind(gvks[0])
			messages[s.GroupResource] = deprecation.WarningMessage(obj)
		}
	}
	return messages
}
