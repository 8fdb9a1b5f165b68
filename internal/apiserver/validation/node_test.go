package validation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
)

func validNode() *v1.Node { return &v1.Node{ObjectMeta: meta("")} }

func ranged(ranges ...string) func(*v1.Node) { return func(n *v1.Node) { n.Spec.PodCIDRs = ranges } }

func TestNode(t *testing.T) {
	tainted := func(list ...v1.Taint) func(*v1.Node) { return func(n *v1.Node) { n.Spec.Taints = list } }
	has := func(name v1.ResourceName, amount string) func(*v1.Node) {
		return func(n *v1.Node) { n.Status.Capacity = quantities(name, amount) }
	}
	rules(t, validNode, DefaultNode, ValidateNode, []rule[*v1.Node]{
		{"valid", func(n *v1.Node) { n.Name, n.Spec.PodCIDR = "host.example", "127.128.0.0/16" }, ""},
		{"name", func(n *v1.Node) { n.Name = "A" }, "Invalid metadata.name"},
		{"in a namespace", func(n *v1.Node) { n.Namespace = "a" }, "Forbidden metadata.namespace"},
		{"taint", tainted(v1.Taint{Key: "a", Effect: "NoSchedule"}, v1.Taint{Key: "a", Effect: "NoExecute"}), ""},
		{"taint, malformed", tainted(v1.Taint{Value: "a b"}), "Invalid metadata.taints[0].key\nInvalid " +
			"metadata.taints[0].value\nRequired metadata.taints[0].effect"},
		{"taint, unknown effect", tainted(v1.Taint{Key: "a b", Effect: "x"}),
			"Invalid metadata.taints[0].key\nNotSupported metadata.taints[0].effect"},
		{"taint twice", tainted(v1.Taint{Key: "a", Effect: "NoSchedule"}, v1.Taint{Key: "a", Effect: "NoSchedule",
			Value: "b"}), "Duplicate metadata.taints[1]"},
		{"ranges", ranged("10.0.0.0/24", "fd00::/64"), ""},
		{"range, malformed", func(n *v1.Node) { n.Spec.PodCIDR = "x" }, "Invalid spec.podCIDRs[0]"},
		{"range, leading zeros", ranged("10.0.0.0/08"), "Invalid spec.podCIDRs[0]"},
		{"range, host bits", ranged("10.0.0.1/24"), "Invalid spec.podCIDRs[0]"},
		{"ranges of a family", ranged("10.0.0.0/24", "10.0.1.0/24"), "Invalid spec.podCIDRs"},
		{"range twice", ranged("10.0.0.0/24", "10.0.0.0/24"), "Invalid spec.podCIDRs\nDuplicate spec.podCIDRs[1]"},
		{"three ranges", ranged("10.0.0.0/24", "fd00::/64", "fd01::/64"), "Invalid spec.podCIDRs"},
		{"capacity", has("cpu", "1500m"), ""},
		{"capacity of anything", has("a b", "1"), ""},
		{"negative", has("cpu", "-1"), "Invalid status.capacity.cpu\nInvalid status.allocatable.cpu"},
		{"half a pod", has("pods", "1500m"), "Invalid status.capacity.pods\nInvalid status.allocatable.pods"},
		{"half a device", has("example.com/gpu", "500m"), "Invalid status.capacity.example.com/gpu\nInvalid " +
			"status.allocatable.example.com/gpu"},
		{"address twice is for the status to see to", func(n *v1.Node) { n.Status.Addresses = make([]v1.NodeAddress, 2) },
			""},
	})
}

func TestNodeUpdate(t *testing.T) {
	provided := func(id string) func(*v1.Node) { return func(n *v1.Node) { n.Spec.ProviderID = id } }
	changes(t, validNode, DefaultNode, ValidateNodeUpdate, []change[*v1.Node]{
		{"labels", nil, func(n *v1.Node) { n.Labels = map[string]string{"a": "b"} }, ""},
		{"name", nil, func(n *v1.Node) { n.Name = "b" }, "Invalid metadata.name"},
		{"unschedulable", nil, func(n *v1.Node) { n.Spec.Unschedulable = true }, ""},
		{"taint", nil, func(n *v1.Node) { n.Spec.Taints = []v1.Taint{{Key: "a"}} }, "Required metadata.taints[0].effect"},
		{"range given", nil, ranged("10.0.0.0/24"), ""},
		{"range given, malformed", nil, ranged("x"), "Invalid spec.podCIDRs[0]"},
		{"range changed", ranged("10.0.0.0/24"), func(n *v1.Node) { n.Spec.PodCIDR = ""; ranged("10.0.1.0/24")(n) },
			"Forbidden spec.podCIDRs"},
		{"range more", ranged("10.0.0.0/24"), ranged("10.0.0.0/24", "fd00::/64"), "Forbidden spec.podCIDRs"},
		{"provider given", nil, provided("a"), ""},
		{"provider changed", provided("a"), provided("b"), "Forbidden spec.providerID"},
		{"provider gone", provided("a"), provided(""), "Forbidden spec.providerID"},
		{"external ID", nil, func(n *v1.Node) { n.Spec.DoNotUseExternalID = "a" }, "Forbidden spec.externalID"},
	})
	changes(t, validNode, DefaultNode, ValidateNodeStatusUpdate, []change[*v1.Node]{
		{"addresses", nil, func(n *v1.Node) {
			n.Status.Addresses = []v1.NodeAddress{{Type: "Hostname", Address: "a"}, {Type: "InternalIP", Address: "a"}}
		}, ""},
		{"address twice", nil, func(n *v1.Node) { n.Status.Addresses = make([]v1.NodeAddress, 2) },
			"Duplicate status.addresses[1]"},
		{"capacity", nil, func(n *v1.Node) { n.Status.Capacity, n.Status.Allocatable = quantities("cpu", "-1"), nil },
			"Invalid status.capacity.cpu\nInvalid status.allocatable.cpu"},
		{"name", nil, func(n *v1.Node) { n.Name = "b" }, "Invalid metadata.name"},
	})
}

func TestNodeDefaults(t *testing.T) {
	node := &v1.Node{Status: v1.NodeStatus{Capacity: quantities("cpu", "4")},
		Spec: v1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24"}}}
	DefaultNode(node)
	if diff := cmp.Diff(node.Status.Capacity, node.Status.Allocatable); diff != "" || node.Spec.PodCIDR != "10.0.0.0/24" {
		t.Errorf("podCIDR %q, allocatable (-capacity +allocatable): %s", node.Spec.PodCIDR, diff)
	}
	node = &v1.Node{Spec: v1.NodeSpec{PodCIDR: "10.0.1.0/24", PodCIDRs: []string{"10.0.0.0/24", "fd00::/64"}}}
	DefaultNode(node)
	if diff := cmp.Diff([]string{"10.0.1.0/24"}, node.Spec.PodCIDRs); diff != "" {
		t.Errorf("podCIDRs where podCIDR differs (-want +got): %s", diff)
	}
}

func TestNodeWarnings(t *testing.T) {
	node := validNode()
	ranged("10.0.0.0/24", "fd00:0::/64")(node)
	node.Spec.DoNotUseExternalID, node.Spec.ConfigSource = "a", &v1.NodeConfigSource{}
	got := NodeWarnings(node, nil)
	want := []string{"spec.podCIDRs[1]: ", "spec.configSource: ", "spec.externalID: "}
	if len(got) != len(want) {
		t.Fatalf("warnings %q, want %q", got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("warning %q, want one that begins with %q", got[i], want[i])
		}
	}
}
