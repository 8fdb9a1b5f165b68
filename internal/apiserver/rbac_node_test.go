package apiserver_test

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// podOn creates a Pod on a node. The Pod uses the Secret and the ConfigMap of its own name.
func podOn(t *testing.T, admin kubernetes.Interface, node, name string) *corev1.Pod {
	t.Helper()
	core := admin.CoreV1()
	meta := metav1.ObjectMeta{Name: name, Namespace: "default"}
	ref := corev1.LocalObjectReference{Name: name}
	if _, err := core.Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: meta},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod, err := core.Pods("default").Create(t.Context(), &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
		NodeName: node,
		Containers: []corev1.Container{{Name: "c", Image: "i", EnvFrom: []corev1.EnvFromSource{
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref}},
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref}},
		}}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// A node agent may use its own Node, Lease and Pods and what the Pods use, and nothing of other nodes.
func TestNodeRestriction(t *testing.T) {
	server := apitest.Start(t)
	admin, agent := server.Client(t), server.ClientAs(t, apiserver.UserNodePrefix+apitest.NodeName)
	podOn(t, admin, apitest.NodeName, "mine")
	podOn(t, admin, "node-2", "theirs")
	if _, err := admin.CoreV1().Nodes().Create(t.Context(), nodeNamed("node-2"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	core, ctx, get := agent.CoreV1(), t.Context(), metav1.GetOptions{}
	leases := agent.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	status, now := []byte(`{"status":{"phase":"Running"}}`), int64(0)
	restricted := nodeNamed(apitest.NodeName)
	restricted.Labels = map[string]string{"node-restriction.kubernetes.io/fips": "true"}
	tests := []struct {
		name    string
		allowed bool
		do      func() error
	}{
		{"create itself with a reserved label", false, func() error {
			_, err := core.Nodes().Create(ctx, restricted,
				metav1.CreateOptions{})
			return err
		}},
		{"create itself", true, func() error {
			_, err := core.Nodes().Create(ctx, nodeNamed(apitest.NodeName), metav1.CreateOptions{})
			return err
		}},
		{"create another", false, func() error {
			_, err := core.Nodes().Create(ctx, nodeNamed("node-3"), metav1.CreateOptions{})
			return err
		}},
		{"read itself", true, func() error { _, err := core.Nodes().Get(ctx, apitest.NodeName, get); return err }},
		{"read another", false, func() error { _, err := core.Nodes().Get(ctx, "node-2", get); return err }},
		{"list all nodes", false, func() error { _, err := core.Nodes().List(ctx, metav1.ListOptions{}); return err }},
		{"delete itself", false, func() error { return core.Nodes().Delete(ctx, apitest.NodeName, metav1.DeleteOptions{}) }},
		{"label itself", true, func() error {
			return patchNode(agent, t, apitest.NodeName,
				`{"metadata":{"labels":{"rack":"7"}}}`)
		}},
		{"give itself a role", false, func() error {
			return patchNode(agent, t, apitest.NodeName, `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`)
		}},
		{"taint itself", false, func() error {
			return patchNode(agent, t, apitest.NodeName, `{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}`)
		}},
		{"label another", false, func() error {
			return patchNode(agent, t, "node-2",
				`{"metadata":{"labels":{"rack":"7"}}}`)
		}},
		{"write the status of another", false, func() error {
			_, err := core.Nodes().Patch(ctx, "node-2", types.MergePatchType, status, metav1.PatchOptions{}, "status")
			return err
		}},
		{"list its pods", true, func() error {
			_, err := core.Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + apitest.NodeName})
			return err
		}},
		{"list the pods of another", false, func() error {
			_, err := core.Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=node-2"})
			return err
		}},
		{"list all pods", false, func() error { _, err := core.Pods("").List(ctx, metav1.ListOptions{}); return err }},
		{"read its pod", true, func() error { _, err := core.Pods("default").Get(ctx, "mine", get); return err }},
		{"read another's pod", false, func() error { _, err := core.Pods("default").Get(ctx, "theirs", get); return err }},
		{"read a secret of its pod", true, func() error {
			_, err := core.Secrets("default").Get(ctx, "mine",
				get)
			return err
		}},
		{"read a secret of another's pod", false, func() error {
			_, err := core.Secrets("default").Get(ctx, "theirs",
				get)
			return err
		}},
		{"list secrets", false, func() error {
			_, err := core.Secrets("default").List(ctx,
				metav1.ListOptions{})
			return err
		}},
		{"read a configmap of its pod", true, func() error {
			_, err := core.ConfigMaps("default").Get(ctx, "mine",
				get)
			return err
		}},
		{"read a configmap of another's pod", false, func() error {
			_, err := core.ConfigMaps("default").Get(ctx, "theirs",
				get)
			return err
		}},
		{"list services", true, func() error { _, err := core.Services("").List(ctx, metav1.ListOptions{}); return err }},
		{"write the status of its pod", true, func() error { return patchPod(agent, t, "mine", status) }},
		{"write the status of another's pod", false, func() error { return patchPod(agent, t, "theirs", status) }},
		{"relabel its pod by the status", false, func() error {
			return patchPod(agent, t, "mine",
				[]byte(`{"metadata":{"labels":{"app":"web"}}}`))
		}},
		{"create a pod", false, func() error {
			_, err := core.Pods("default").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "new"}},
				metav1.CreateOptions{})
			return err
		}},
		{"create its lease", true, func() error {
			_, err := leases.Create(ctx, leaseNamed(apitest.NodeName), metav1.CreateOptions{})
			return err
		}},
		{"create another's lease", false, func() error {
			_, err := leases.Create(ctx, leaseNamed("node-2"),
				metav1.CreateOptions{})
			return err
		}},
		{"create a lease elsewhere", false, func() error {
			_, err := agent.CoordinationV1().Leases("default").Create(ctx, leaseNamed(apitest.NodeName), metav1.CreateOptions{})
			return err
		}},
		{"delete another's pod", false, func() error {
			return core.Pods("default").Delete(ctx, "theirs", metav1.DeleteOptions{GracePeriodSeconds: &now})
		}},
		{"delete its pod", true, func() error {
			return core.Pods("default").Delete(ctx, "mine", metav1.DeleteOptions{GracePeriodSeconds: &now})
		}},
	}
	for _, tt := range tests {
		err := tt.do()
		if tt.allowed && err != nil || !tt.allowed && !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v; allowed should be %t", tt.name, err, tt.allowed)
		}
	}
	eventually(t, "the secret of a pod that has gone is not to be read any more", func() bool {
		_, err := core.Secrets("default").Get(ctx, "mine", get)
		return apierrors.IsForbidden(err)
	})
}

func nodeNamed(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
}

func leaseNamed(name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func patchNode(client kubernetes.Interface, t *testing.T, name, patch string) error {
	_, err := client.CoreV1().Nodes().Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func patchPod(client kubernetes.Interface, t *testing.T, name string, patch []byte) error {
	_, err := client.CoreV1().Pods("default").Patch(t.Context(), name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{}, "status")
	return err
}
