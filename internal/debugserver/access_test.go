package debugserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// reviews answers reviews as an API server does on which alice may get /metrics.
func reviews(action clienttesting.Action) (bool, runtime.Object, error) {
	switch review := action.(clienttesting.CreateAction).GetObject().(type) {
	case *authenticationv1.TokenReview:
		if review.Spec.Token == "broken" {
			return true, nil, errors.New("etcd is down")
		}
		review.Status.Authenticated = review.Spec.Token == "alice" || review.Spec.Token == "bob"
		review.Status.User.Username = review.Spec.Token
		return true, review, nil
	case *authorizationv1.SubjectAccessReview:
		a := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == "alice" && a.Path == "/metrics" && a.Verb == "get"
		return true, review, nil
	}
	return false, nil, nil
}

func TestRequireAccess(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "*", reviews)
	h := RequireAccess(client, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	for _, c := range []struct {
		method, path, authorization string
		want                        int
	}{
		{"GET", "/metrics", "Bearer alice", 200},
		{"GET", "/metrics", "bearer alice", 200},
		{"GET", "/debug/endpoints/a/b", "Bearer alice", 403},
		{"POST", "/metrics", "Bearer alice", 403},
		{"GET", "/metrics", "Bearer bob", 403},
		{"GET", "/metrics", "Bearer carol", 401},
		{"GET", "/metrics", "Basic alice", 401},
		{"GET", "/metrics", "Bearer ", 401},
		{"GET", "/metrics", "", 401},
		{"GET", "/metrics", "Bearer broken", 503},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("Authorization", c.authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s with %q: %d %s, want %d", c.method, c.path, c.authorization, w.Code, w.Body, c.want)
		}
	}
}
