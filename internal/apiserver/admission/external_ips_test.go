package admission

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func TestDenyServiceExternalIPs(t *testing.T) {
	with := func(ips ...string) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{ExternalIPs: ips}}
	}
	admin, editor := &user.DefaultInfo{Name: "root"}, &user.DefaultInfo{Name: "editor"}
	tests := []struct {
		name        string
		who         user.Info
		now, old    runtime.Object
		resource    string
		subresource string
		forbidden   bool
	}{
		{name: "none", who: editor, now: with()},
		{name: "new", who: editor, now: with("192.0.2.1"), forbidden: true},
		{name: "new, by an administrator", who: admin, now: with("192.0.2.1")},
		{name: "kept", who: editor, now: with("192.0.2.1"), old: with("192.0.2.1", "192.0.2.2")},
		{name: "added", who: editor, now: with("192.0.2.1", "192.0.2.3"), old: with("192.0.2.1"), forbidden: true},
		{name: "added, by an administrator", who: admin, now: with("192.0.2.1", "192.0.2.3"), old: with("192.0.2.1")},
		{name: "removed", who: editor, now: with(), old: with("192.0.2.1")},
		{name: "the status", who: editor, now: with("192.0.2.1"), old: with(), subresource: "status"},
		{name: "another kind", who: editor, now: &corev1.Pod{}, resource: "pods"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.resource == "" {
				tt.resource = "services"
			}
			op := admission.Create
			if tt.old != nil {
				op = admission.Update
			}
			attrs := admission.NewAttributesRecord(tt.now, tt.old, corev1.SchemeGroupVersion.WithKind("Service"), "default",
				"web",
				corev1.SchemeGroupVersion.WithResource(tt.resource), tt.subresource, op, nil, false, tt.who)
			err := (&denyServiceExternalIPs{authorizer: onlyRoot}).Validate(t.Context(), attrs, nil)
			if apierrors.IsForbidden(err) != tt.forbidden || !tt.forbidden && err != nil {
				t.Errorf("answer %v, want forbidden %t", err, tt.forbidden)
			}
		})
	}
}

// onlyRoot allows every action of the user root, and none of other users.
var onlyRoot = authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string,
	error) {
	if a.GetUser().GetName() == "root" && a.GetVerb() == "*" && a.GetResource() == "*" && a.GetAPIGroup() == "*" &&
		a.GetNamespace() == "" {
		return authorizer.DecisionAllow, "", errors.New("another role is missing")
	}
	return authorizer.DecisionNoOpinion, "", nil
})

// An authorizer that fails refuses the write.
func TestDenyServiceExternalIPsFailsClosed(t *testing.T) {
	broken := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "", errors.New("no roles")
	})
	svc := &corev1.Service{Spec: corev1.ServiceSpec{ExternalIPs: []string{"192.0.2.1"}}}
	attrs := admission.NewAttributesRecord(svc, nil, corev1.SchemeGroupVersion.WithKind("Service"), "default", "web",
		corev1.SchemeGroupVersion.WithResource("services"), "", admission.Create, nil, false, &user.DefaultInfo{Name: "root"})
	if err := (&denyServiceExternalIPs{authorizer: broken}).Validate(t.Context(), attrs, nil); err == nil {
		t.Error("let pass")
	}
}
