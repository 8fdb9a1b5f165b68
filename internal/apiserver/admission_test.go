package apiserver_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/annotations"
	"viaduct/internal/apiserver/apitest"
)

func TestAnnotationValidation(t *testing.T) {
	client := apitest.Start(t).Client(t)
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "db", Annotations: map[string]string{annotations.HealthCheck: "tpc"}},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 5432}}},
	}
	api := client.CoreV1().Services("default")
	_, err := api.Create(t.Context(), svc, metav1.CreateOptions{})
	wantCause(t, err, "metadata.annotations[viaduct.dev/health-check]",
		`there is no check "tpc"; there are tcp, http, https, grpc, dns`)
	svc.Annotations[annotations.HealthCheck] = "tcp"
	made, err := api.Create(t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Spec.Selector = map[string]string{"app": "db"}
	_, err = api.Update(t.Context(), made, metav1.UpdateOptions{})
	wantCause(t, err, "metadata.annotations[viaduct.dev/health-check]", "may only be set on a Service without a selector")

	ep := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "db",
		Annotations: map[string]string{annotations.Backends: "db.example"}}}
	_, err = client.CoreV1().Endpoints("default").Create(t.Context(), ep, metav1.CreateOptions{})
	wantCause(t, err, "metadata.annotations[viaduct.dev/backends]", "no such annotation is known here")
}

func wantCause(t *testing.T, err error, field, says string) {
	t.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok || !apierrors.IsInvalid(err) || status.Status().Details == nil || len(status.Status().Details.Causes) != 1 {
		t.Errorf("answer %v, want Invalid with one cause", err)
		return
	}
	if c := status.Status().Details.Causes[0]; c.Field != field || !strings.Contains(c.Message, says) {
		t.Errorf("cause %+v, want %s with %q", c, field, says)
	}
}

// A user who writes Endpoints in one namespace cannot direct its Services to Pods of another.
func TestRestrictedEndpoints(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	for _, ns := range []string{"home", "away"} {
		if _, err := client.CoreV1().Namespaces().Create(t.Context(),
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{PodCIDR: "10.9.0.0/24",
			PodCIDRs: []string{"10.9.0.0/24"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	podAt := func(namespace, ip string) {
		pod, err := client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeName: "n",
				Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
		if _, err := client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	podAt("home", "10.9.0.1")
	podAt("away", "10.9.0.2")
	allow(t, client, "writer", "create", "update", "get", "endpoints")
	ann := as(t, server, "ann").CoreV1().Endpoints("home")
	eventually(t, "ann may write", func() bool {
		_, err := ann.Get(t.Context(), "none", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	write := func(name string, ips ...string) (*corev1.Endpoints, error) {
		s := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Port: 80}}}
		for _, ip := range ips {
			s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: ip})
		}
		return ann.Create(t.Context(), &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name},
			Subsets: []corev1.EndpointSubset{s}}, metav1.CreateOptions{})
	}
	for _, tt := range []struct{ ip, says string }{
		{"10.9.0.1", ""},
		{"192.0.2.1", ""},
		{"10.9.0.2", "10.9.0.2 is the address of a Pod in another namespace: writing it needs permission to create " +
			"endpoints/restricted"},
		{"10.9.0.3", "10.9.0.3 is in a node's Pod range, and no Pod of this namespace has it"},
	} {
		_, err := write("x-"+strings.ReplaceAll(tt.ip, ".", "-"), "192.0.2.9", tt.ip)
		if apierrors.IsForbidden(err) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.ip, err, tt.says)
		}
	}
	ep, err := ann.Get(t.Context(), "x-10-9-0-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ep.Subsets[0].Addresses = append(ep.Subsets[0].Addresses, corev1.EndpointAddress{IP: "10.9.0.2"})
	if _, err := ann.Update(t.Context(), ep, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("by an update: %v", err)
	}
	allow(t, client, "trusted", "create", "endpoints/restricted")
	eventually(t, "ann may write restricted addresses", func() bool {
		_, err := ann.Update(t.Context(), ep, metav1.UpdateOptions{})
		return err == nil
	})
}

// allow gives ann permission in the namespace home: verbs, then one resource.
func allow(t *testing.T, client kubernetes.Interface, role string, what ...string) {
	t.Helper()
	last := len(what) - 1
	rule := rbacv1.PolicyRule{Verbs: what[:last], APIGroups: []string{""}, Resources: what[last:]}
	_, err := client.RbacV1().Roles("home").Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: role},
		Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.RbacV1().RoleBindings("home").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role",
			Name: role},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "ann"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// A user who may not write EndpointSlices cannot get them by the annotation backends.
func TestBackendsPermission(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	if _, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "home"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bound := bindingTo("ClusterRole", "edit", "ann")
	if _, err := client.RbacV1().RoleBindings("home").Create(t.Context(), bound, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ann := as(t, server, "ann").CoreV1().Services("home")
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 5432}}}}
	eventually(t, "ann may edit", func() bool {
		_, err := ann.Create(t.Context(), svc, metav1.CreateOptions{})
		return err == nil || apierrors.IsAlreadyExists(err)
	})
	name := func(who interface {
		Get(context.Context, string, metav1.GetOptions) (*corev1.Service, error)
		Update(context.Context, *corev1.Service, metav1.UpdateOptions) (*corev1.Service, error)
	}, backends, label string) error {
		now, err := who.Get(t.Context(), "db", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		now.Annotations, now.Labels = map[string]string{annotations.Backends: backends}, map[string]string{"by": label}
		_, err = who.Update(t.Context(), now, metav1.UpdateOptions{})
		return err
	}
	if err := name(ann, "db.example", "ann"); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(),
		"create endpointslices") {
		t.Errorf("a user with the role edit: %v", err)
	}
	if err := name(client.CoreV1().Services("home"), "db.example", "admin"); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	if err := name(ann, "db.example", "ann"); err != nil {
		t.Errorf("an update that leaves the backends as they are: %v", err)
	}
}
