package access

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// podList answers with the Pods of a cache and with those of a store.
type podList struct{ cached, stored []corev1.Pod }

func (p podList) OnNode(_ context.Context, _, _ string, fresh bool) ([]*corev1.Pod, error) {
	list := p.cached
	if fresh {
		list = p.stored
	}
	pods := make([]*corev1.Pod, len(list))
	for i := range list {
		pods[i] = &list[i]
	}
	return pods, nil
}

func pod(name string, spec corev1.PodSpec) corev1.Pod {
	spec.NodeName = "n1"
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: spec}
}

func secretIn(change func(*corev1.PodSpec, corev1.LocalObjectReference)) []corev1.Pod {
	p := pod("p", corev1.PodSpec{})
	change(&p.Spec, corev1.LocalObjectReference{Name: "s"})
	return []corev1.Pod{p}
}

func TestNodeReadsWhatItsPodsName(t *testing.T) {
	env := func(from corev1.EnvVarSource) []corev1.EnvVar { return []corev1.EnvVar{{Name: "A", ValueFrom: &from}} }
	type spec = corev1.PodSpec
	type ref = corev1.LocalObjectReference
	tests := []struct {
		name, resource string
		pods           []corev1.Pod
	}{
		{"pull secret", "secrets", secretIn(func(s *spec, r ref) { s.ImagePullSecrets = []ref{r} })},
		{"variable", "secrets", secretIn(func(s *spec, r ref) {
			s.Containers = []corev1.Container{{Env: env(
				corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: r}})}}
		})},
		{"variables", "secrets", secretIn(func(s *spec, r ref) {
			s.InitContainers = []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
				LocalObjectReference: r,
			}}}}}
		})},
		{"volume", "secrets", secretIn(func(s *spec, r ref) {
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName: r.Name,
			}}}}
		})},
		{"projected volume", "secrets", secretIn(func(s *spec, r ref) {
			from := []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: r}}}
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: from,
			}}}}
		})},
		{"variable", "configmaps", secretIn(func(s *spec, r ref) {
			s.Containers = []corev1.Container{{Env: env(
				corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: r}})}}
		})},
		{"variables", "configmaps", secretIn(func(s *spec, r ref) {
			c := corev1.EphemeralContainer{}
			c.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: r}}}
			s.EphemeralContainers = []corev1.EphemeralContainer{c}
		})},
		{"volume", "configmaps", secretIn(func(s *spec, r ref) {
			s.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: r,
			}}}}
		})},
	}
	for _, tt := range tests {
		other := map[string]string{"secrets": "configmaps", "configmaps": "secrets"}[tt.resource]
		for _, n := range []*Nodes{NewNodes(podList{cached: tt.pods}), NewNodes(podList{stored: tt.pods})} {
			wantNode(t, n, tt.name, inNS(resource("get", "", tt.resource, "s")), true)
			wantNode(t, n, tt.name+", of the other kind", inNS(resource("get", "", other, "s")), false)
			wantNode(t, n, tt.name+", another name", inNS(resource("get", "", tt.resource, "s2")), false)
			wantNode(t, n, tt.name+", to write", inNS(resource("update", "", tt.resource, "s")), false)
		}
	}
}

func inNS(a authorizer.AttributesRecord) authorizer.AttributesRecord {
	a.Namespace = "ns"
	return a
}

func wantNode(t *testing.T, n *Nodes, name string, a authorizer.AttributesRecord, allowed bool) {
	t.Helper()
	if a.User == nil {
		a.User = &user.DefaultInfo{Name: "system:node:n1", Groups: []string{user.NodesGroup}}
	}
	decision, why, err := n.Authorize(t.Context(), a)
	if got := decision == authorizer.DecisionAllow; got != allowed || err != nil {
		t.Errorf("%s: %t (%s, %v), want %t", name, got, why, err, allowed)
	}
}

func TestNodeRules(t *testing.T) {
	n := NewNodes(podList{cached: []corev1.Pod{pod("p", corev1.PodSpec{ServiceAccountName: "sa"})}})
	selecting := func(a authorizer.AttributesRecord, field, value string) authorizer.AttributesRecord {
		a.FieldSelectorRequirements = fields.OneTermEqualSelector(field, value).Requirements()
		return a
	}
	by := func(a authorizer.AttributesRecord, name string, groups ...string) authorizer.AttributesRecord {
		a.User = &user.DefaultInfo{Name: name, Groups: groups}
		return a
	}
	inLeases := func(a authorizer.AttributesRecord) authorizer.AttributesRecord {
		a.Namespace = corev1.NamespaceNodeLease
		return a
	}
	self := resource("get", "", "nodes", "n1")
	tests := []struct {
		name    string
		asks    authorizer.AttributesRecord
		allowed bool
	}{
		{"itself", self, true},
		{"not in the group", by(self, "system:node:n1"), false},
		{"in the group, another name", by(self, "n1", user.NodesGroup), false},
		{"no name", by(resource("get", "", "nodes", ""), "system:node:", user.NodesGroup), false},
		{"another node", resource("get", "", "nodes", "n2"), false},
		{"watch itself", resource("watch", "", "nodes", "n1"), true},
		{"list nodes", resource("list", "", "nodes", ""), false},
		{"delete itself", resource("delete", "", "nodes", "n1"), false},
		{"its status", resource("patch", "", "nodes/status", "n1"), true},
		{"proxy to a node", resource("get", "", "nodes/proxy", "n1"), false},
		{"a node of another group", resource("get", "example.com", "nodes", "n1"), false},
		{"its pods", selecting(resource("list", "", "pods", ""), "spec.nodeName", "n1"), true},
		{"the pods of another", selecting(resource("list", "", "pods", ""), "spec.nodeName", "n2"), false},
		{"pods by phase", selecting(resource("watch", "", "pods", ""), "status.phase", "n1"), false},
		{"delete its pods at once", selecting(resource("deletecollection", "", "pods", ""), "spec.nodeName", "n1"), false},
		{"its pod", inNS(resource("get", "", "pods", "p")), true},
		{"another pod", inNS(resource("get", "", "pods", "q")), false},
		{"exec", inNS(resource("create", "", "pods/exec", "p")), false},
		{"bind", inNS(resource("create", "", "pods/binding", "p")), false},
		{"token of a pod's account", inNS(resource("create", "", "serviceaccounts/token", "sa")), true},
		{"token of another account", inNS(resource("create", "", "serviceaccounts/token", "sb")), false},
		{"the account itself", inNS(resource("get", "", "serviceaccounts", "sa")), false},
		{"secrets of a namespace", inNS(resource("list", "", "secrets", "")), false},
		{"its lease", inLeases(resource("update", "coordination.k8s.io", "leases", "n1")), true},
		{"a lease to create", inLeases(resource("create", "coordination.k8s.io", "leases", "")), true},
		{"another lease", inLeases(resource("get", "coordination.k8s.io", "leases", "n2")), false},
		{"leases", inLeases(resource("list", "coordination.k8s.io", "leases", "")), false},
		{"a lease elsewhere", inNS(resource("get", "coordination.k8s.io", "leases", "n1")), false},
		{"services", resource("watch", "", "services", ""), true},
		{"write services", resource("update", "", "services", "s"), false},
		{"events", inNS(resource("create", "", "events", "")), true},
		{"roles", resource("list", "rbac.authorization.k8s.io", "clusterroles", ""), false},
		{"a path", path("get", "/metrics"), false},
	}
	for _, tt := range tests {
		wantNode(t, n, tt.name, tt.asks, tt.allowed)
	}
}
