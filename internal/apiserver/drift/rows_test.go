package drift

import (
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"viaduct/internal/apiserver/validation"
)

// Why Viaduct does not enforce a rule.
const (
	gateOff    = "the field belongs to a feature that is off by default in Kubernetes; Viaduct stores the field"
	statusOnly = "a status field of a feature that Viaduct does not have"
)

// declaredRules has a row for every rule that the library declares for a served type. A key is package, type, Go field
// and rule, without the stage of the rule (alpha, beta), which does not change what Viaduct does.
var declaredRules = map[string]declaredRule{
	"authorization.v1.SelfSubjectAccessReviewSpec.NonResourceAttributes +k8s:unionMember": {broken: selfReview,
		want: "Invalid spec.nonResourceAttributes"},
	"authorization.v1.SelfSubjectAccessReviewSpec.ResourceAttributes +k8s:unionMember": {broken: selfReview,
		want: "Invalid spec.nonResourceAttributes"},
	"authorization.v1.SubjectAccessReviewSpec.NonResourceAttributes +k8s:unionMember": {broken: review,
		want: "Invalid spec.nonResourceAttributes"},
	"authorization.v1.SubjectAccessReviewSpec.ResourceAttributes +k8s:unionMember": {broken: review,
		want: "Invalid spec.nonResourceAttributes"},

	"core.v1.EvictionResponder.Name +k8s:customValidation":                            {reason: gateOff},
	"core.v1.EvictionResponder.Name +k8s:format=k8s-prefixed-label-key":               {reason: gateOff},
	"core.v1.EvictionResponder.Name +k8s:required":                                    {reason: gateOff},
	"core.v1.EvictionResponder.Priority +k8s:customValidation":                        {reason: gateOff},
	"core.v1.EvictionResponder.Priority +k8s:maximum=100000":                          {reason: gateOff},
	"core.v1.EvictionResponder.Priority +k8s:minimum=0":                               {reason: gateOff},
	"core.v1.EvictionResponder.Priority +k8s:required":                                {reason: gateOff},
	"core.v1.PodSpec.EvictionResponders +k8s:dependentForbidden(\"schedulingGroup\")": {reason: gateOff},
	"core.v1.PodSpec.EvictionResponders +k8s:maxItems=10":                             {reason: gateOff},
	"core.v1.NodePodPreemptionPolicy.DisableResizePreemption +k8s:maxItems=20":        {reason: gateOff},
	"core.v1.NodeAllocatableMappedResources.Name +k8s:required":                       {reason: statusOnly},
	"core.v1.NodeAllocatableMappedResources.Quantity +k8s:required":                   {reason: statusOnly},
	"core.v1.NodeAllocatableOverheadResources.Name +k8s:required":                     {reason: statusOnly},
	"core.v1.NodeAllocatableResourceClaimStatus.ResourceClaimName +k8s:required":      {reason: statusOnly},
	"core.v1.PodVolumeHealth.HealthConditions +k8s:maxItems=16":                       {reason: statusOnly},
	"core.v1.PodVolumeHealth.Name +k8s:required":                                      {reason: statusOnly},
	"core.v1.VolumeHealthCondition.Message +k8s:maxBytes=1024":                        {reason: statusOnly},
	"core.v1.VolumeHealthCondition.Reason +k8s:maxBytes=256":                          {reason: statusOnly},
	"core.v1.VolumeHealthCondition.Reason +k8s:required":                              {reason: statusOnly},
	"core.v1.VolumeHealthCondition.Status +k8s:required":                              {reason: statusOnly},
	"core.v1.NodePodPreemptionPolicy.DisableResizePreemption +k8s:eachVal=+k8s:format=" +
		"k8s-label-key": {reason: gateOff},
	"core.v1.NodeSpec.PodPreemptionPolicy +k8s:ifDisabled(InPlacePodVerticalScalingSchedulerPreemption)=" +
		"+k8s:forbidden": {reason: gateOff},
	"core.v1.NodeSpec.ProviderID +k8s:update=NoModify": {want: "Forbidden spec.providerID",
		broken: node(func(n *corev1.Node) { n.Spec.ProviderID = "b" })},
	"core.v1.NodeSpec.ProviderID +k8s:update=NoUnset": {want: "Forbidden spec.providerID",
		broken: node(func(n *corev1.Node) { n.Spec.ProviderID = "" })},
	"core.v1.Secret.Type +k8s:immutable":               {broken: secret, want: "Invalid type"},
	"core.v1.Toleration.Key +k8s:format=k8s-label-key": {broken: toleration, want: "Invalid spec.tolerations[0].key"},

	"discovery.v1.Endpoint.Addresses +k8s:maxItems=100": {want: "TooMany endpoints[0].addresses",
		broken: slice(func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].Addresses = slices.Repeat([]string{"10.0.0.1"}, 101)
		})},
	"discovery.v1.Endpoint.Addresses +k8s:required": {want: "Required endpoints[0].addresses",
		broken: slice(func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = nil })},
	"discovery.v1.EndpointSlice.AddressType +k8s:immutable": {want: "Invalid addressType",
		broken: slice(func(s *discoveryv1.EndpointSlice) { s.AddressType = discoveryv1.AddressTypeIPv6 })},
	"discovery.v1.EndpointSlice.AddressType +k8s:required": {want: "Required addressType",
		broken: slice(func(s *discoveryv1.EndpointSlice) { s.AddressType = "" })},

	"networking.v1.IPAddressSpec.ParentRef +k8s:immutable": {want: "Invalid spec.parentRef",
		broken: address(func(ip *networkingv1.IPAddress) { ip.Spec.ParentRef.Name = "b" })},
	"networking.v1.IPAddressSpec.ParentRef +k8s:required": {want: "Required spec.parentRef",
		broken: address(func(ip *networkingv1.IPAddress) { ip.Spec.ParentRef = nil })},
	"networking.v1.ParentReference.Name +k8s:required": {want: "Required spec.parentRef.name",
		broken: address(func(ip *networkingv1.IPAddress) { ip.Spec.ParentRef.Name = "" })},
	"networking.v1.ParentReference.Resource +k8s:required": {want: "Required spec.parentRef.resource",
		broken: address(func(ip *networkingv1.IPAddress) { ip.Spec.ParentRef.Resource = "" })},

	"rbac.v1.ClusterRoleBinding.RoleRef +k8s:immutable": {broken: clusterBinding, want: "Invalid roleRef"},
	"rbac.v1.RoleBinding.RoleRef +k8s:immutable": {want: "Invalid roleRef",
		broken: binding(func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "b" })},
	"rbac.v1.RoleRef.Name +k8s:required": {want: "Required roleRef.name",
		broken: binding(func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "" })},
	"rbac.v1.Subject.Name +k8s:required": {want: "Required subjects[0].name",
		broken: binding(func(b *rbacv1.RoleBinding) { b.Subjects[0].Name = "" })},
	"rbac.v1.PolicyRule.Verbs +k8s:required": {broken: role, want: "Required rules[0].verbs"},
}

func selfReview() field.ErrorList {
	return validation.ValidateSelfSubjectAccessReview(&authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes:    &authorizationv1.ResourceAttributes{},
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{},
		}})
}

func review() field.ErrorList {
	return validation.ValidateSubjectAccessReview(&authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			ResourceAttributes:    &authorizationv1.ResourceAttributes{},
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{},
		}})
}

func secret() field.ErrorList {
	now, old := &corev1.Secret{Type: "example.com/a"}, &corev1.Secret{Type: "example.com/b"}
	return validation.ValidateSecretUpdate(now, old)
}

func toleration() field.ErrorList {
	return validation.ValidatePod(&corev1.Pod{Spec: corev1.PodSpec{
		Tolerations: []corev1.Toleration{{Key: "a b", Operator: corev1.TolerationOpExists}}}})
}

func role() field.ErrorList {
	return validation.ValidateRole(&rbacv1.Role{Rules: []rbacv1.PolicyRule{{APIGroups: []string{""},
		Resources: []string{"pods"}}}})
}

func clusterBinding() field.ErrorList {
	old := &rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "a"}}
	now := old.DeepCopy()
	now.RoleRef.Name = "b"
	return validation.ValidateClusterRoleBindingUpdate(now, old)
}

// slice validates a changed EndpointSlice, both as a new one and as an update.
func slice(change func(*discoveryv1.EndpointSlice)) func() field.ErrorList {
	return func() field.ErrorList {
		old := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
		now := old.DeepCopy()
		change(now)
		return append(validation.ValidateEndpointSlice(now, validation.Options{}),
			validation.ValidateEndpointSliceUpdate(now, old, validation.Options{})...)
	}
}

// address validates a changed IPAddress, both as a new one and as an update.
func address(change func(*networkingv1.IPAddress)) func() field.ErrorList {
	return func() field.ErrorList {
		old := &networkingv1.IPAddress{Spec: networkingv1.IPAddressSpec{
			ParentRef: &networkingv1.ParentReference{Resource: "services", Name: "a"}}}
		now := old.DeepCopy()
		change(now)
		return append(validation.ValidateIPAddress(now), validation.ValidateIPAddressUpdate(now, old)...)
	}
}

// binding validates a changed RoleBinding, both as a new one and as an update.
func binding(change func(*rbacv1.RoleBinding)) func() field.ErrorList {
	return func() field.ErrorList {
		old := &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "a"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "a"}}}
		now := old.DeepCopy()
		change(now)
		return append(validation.ValidateRoleBinding(now), validation.ValidateRoleBindingUpdate(now, old)...)
	}
}

// node validates the update of a node that has a provider.
func node(change func(*corev1.Node)) func() field.ErrorList {
	return func() field.ErrorList {
		old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NodeSpec{ProviderID: "a"}}
		now := old.DeepCopy()
		change(now)
		return validation.ValidateNodeUpdate(now, old)
	}
}
