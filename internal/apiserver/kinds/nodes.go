package kinds

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func node() resource.Kind[*corev1.Node] {
	return resource.Kind[*corev1.Node]{
		Group:         coreGroup,
		Names:         resource.Names{Plural: "nodes", Singular: "node", Short: []string{"no"}},
		ClusterScoped: true,
		Rules: resource.Rules[*corev1.Node]{
			Default:       validation.DefaultNode,
			PrepareCreate: func(_ context.Context, n *corev1.Node) { n.Spec.ConfigSource = nil },
			PrepareUpdate: prepareNodeUpdate,
			Validate:      validation.ValidateNode, ValidateUpdate: validation.ValidateNodeUpdate,
			Warn:                     validation.NodeWarnings,
			AllowUnconditionalUpdate: true,
		},
		Selection: resource.Selection[*corev1.Node]{Fields: func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		}},
		Status: &resource.Subresource[*corev1.Node]{
			PrepareUpdate:  func(n, old *corev1.Node) { n.Spec = old.Spec },
			ValidateUpdate: validation.ValidateNodeStatusUpdate,
		},
		Storing: resource.Storing[*corev1.Node]{Prefix: "minions"},
		Serving: resource.Serving{Table: printers.Nodes()},
	}
}

// prepareNodeUpdate keeps the status. It clears a new configSource: agents no longer read it.
func prepareNodeUpdate(_ context.Context, node, old *corev1.Node) {
	node.Status = old.Status
	if old.Spec.ConfigSource == nil {
		node.Spec.ConfigSource = nil
	}
}
