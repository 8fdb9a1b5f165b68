package validation

import (
	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Affinity and topology spread constraints. Only their syntax is checked.

const (
	requiredTerms  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferredTerms = "preferredDuringSchedulingIgnoredDuringExecution"
)

func podAffinity(a *v1.Affinity, path *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if n := a.NodeAffinity; n != nil {
		errs = append(errs, nodeAffinity(n, path.Child("nodeAffinity"))...)
	}
	if p := a.PodAffinity; p != nil {
		errs = append(errs, affinityTerms(p.RequiredDuringSchedulingIgnoredDuringExecution,
			p.PreferredDuringSchedulingIgnoredDuringExecution,
			path.Child("podAffinity"))...)
	}
	if p := a.PodAntiAffinity; p != nil {
		errs = append(errs, affinityTerms(p.RequiredDuringSchedulingIgnoredDuringExecution,
			p.PreferredDuringSchedulingIgnoredDuringExecution,
			path.Child("podAntiAffinity"))...)
	}
	return errs
}

func nodeAffinity(n *v1.NodeAffinity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if required := n.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		at := path.Child(requiredTerms, "nodeSelectorTerms")
		if len(required.NodeSelectorTerms) == 0 {
			errs = append(errs, field.Required(at, "at least one"))
		}
		for i := range required.NodeSelectorTerms {
			errs = append(errs, nodeTerm(&required.NodeSelectorTerms[i], true, at.Index(i))...)
		}
	}
	for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		term, at := &n.PreferredDuringSchedulingIgnoredDuringExecution[i], path.Child(preferredTerms).Index(i)
		errs = append(errs, weight(term.Weight, at)...)
		errs = append(errs, nodeTerm(&term.Preference, false, at.Child("preference"))...)
	}
	return errs
}

func weight(n int32, path *field.Path) field.ErrorList {
	return invalid(path.Child("weight"), n, syntax.IsInRange(int(n), 1, 100))
}

// nodeTerm checks one node selector term. With strict, label values must be valid ones; an invalid value in a
// preference does no harm.
func nodeTerm(term *v1.NodeSelectorTerm, strict bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range term.MatchExpressions {
		errs = append(errs, nodeExpression(&term.MatchExpressions[i], strict, path.Child("matchExpressions").Index(i))...)
	}
	for i := range term.MatchFields {
		errs = append(errs, nodeField(&term.MatchFields[i], path.Child("matchFields").Index(i))...)
	}
	return errs
}

func nodeExpression(r *v1.NodeSelectorRequirement, strict bool, path *field.Path) field.ErrorList {
	values := path.Child("values")
	var errs field.ErrorList
	switch r.Operator {
	case v1.NodeSelectorOpIn, v1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(values, "for the operators In and NotIn"))
		}
	case v1.NodeSelectorOpExists, v1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			errs = append(errs, field.Forbidden(values, "may not be set for the operators Exists and DoesNotExist"))
		}
	case v1.NodeSelectorOpGt, v1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(values, "exactly one for the operators Gt and Lt"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "is no operator of a selector"))
	}
	errs = append(errs, metavalidation.ValidateLabelName(r.Key, path.Child("key"))...)
	if !strict {
		return errs
	}
	for i, value := range r.Values {
		errs = append(errs, invalid(values.Index(i), value, syntax.IsValidLabelValue(value))...)
	}
	return errs
}

// nodeField checks a requirement on a field of the node. Only the name can be selected by.
func nodeField(r *v1.NodeSelectorRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch r.Operator {
	case v1.NodeSelectorOpIn, v1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(path.Child("values"), "exactly one"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "must be In or NotIn"))
	}
	if r.Key != metav1.ObjectNameField {
		return append(errs, field.Invalid(path.Child("key"), r.Key, "must be "+metav1.ObjectNameField))
	}
	for i, value := range r.Values {
		errs = append(errs, invalid(path.Child("values").Index(i), value, isSubdomain(value))...)
	}
	return errs
}

func affinityTerms(required []v1.PodAffinityTerm, preferred []v1.WeightedPodAffinityTerm,
	path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range required {
		errs = append(errs, affinityTerm(&required[i], path.Child(requiredTerms).Index(i))...)
	}
	for i := range preferred {
		at := path.Child(preferredTerms).Index(i)
		errs = append(errs, weight(preferred[i].Weight, at)...)
		errs = append(errs, affinityTerm(&preferred[i].PodAffinityTerm, at.Child("podAffinityTerm"))...)
	}
	return errs
}

func affinityTerm(t *v1.PodAffinityTerm, path *field.Path) field.ErrorList {
	errs := concat(
		labelSelector(t.LabelSelector, path.Child("labelSelector")),
		labelSelector(t.NamespaceSelector, path.Child("namespaceSelector")),
		labelKeys(t, path),
		required(path.Child("topologyKey"), t.TopologyKey, ""),
		metavalidation.ValidateLabelName(t.TopologyKey, path.Child("topologyKey")),
	)
	for _, namespace := range t.Namespaces {
		errs = append(errs, invalid(path.Child("namespace"), namespace, apivalidation.ValidateNamespaceName(namespace,
			false))...)
	}
	return errs
}

func labelSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path)
}

// labelKeys checks matchLabelKeys and mismatchLabelKeys.
func labelKeys(t *v1.PodAffinityTerm, path *field.Path) field.ErrorList {
	errs := concat(
		keysBesideSelector(t.MatchLabelKeys, t.LabelSelector, path.Child("matchLabelKeys")),
		keysBesideSelector(t.MismatchLabelKeys, t.LabelSelector, path.Child("mismatchLabelKeys")),
		keysOnceInSelector(t.MatchLabelKeys, t.LabelSelector, path), // of the term, as upstream reports it
	)
	unlike := sets.New(t.MismatchLabelKeys...)
	for i, key := range t.MatchLabelKeys {
		if unlike.Has(key) {
			errs = append(errs, field.Invalid(path.Child("matchLabelKeys").Index(i), key, "is in mismatchLabelKeys too"))
		}
	}
	return errs
}

func keysBesideSelector(keys []string, selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	if len(keys) > 0 && selector == nil {
		return field.ErrorList{field.Forbidden(path, "may not be set without labelSelector")}
	}
	var errs field.ErrorList
	for i, key := range keys {
		errs = append(errs, metavalidation.ValidateLabelName(key, path.Index(i))...)
	}
	return errs
}

func spreadConstraints(list []v1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		c, at := &list[i], path.Index(i)
		errs = append(errs, spreadConstraint(c, at)...)
		for j := i + 1; j < len(list); j++ {
			if list[j].TopologyKey == c.TopologyKey && list[j].WhenUnsatisfiable == c.WhenUnsatisfiable {
				errs = append(errs, field.Duplicate(at.Child("{topologyKey, whenUnsatisfiable}"), c.TopologyKey))
				break
			}
		}
	}
	return errs
}

func spreadConstraint(c *v1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	errs := concat(
		required(path.Child("topologyKey"), c.TopologyKey, ""),
		oneOf(path.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, v1.DoNotSchedule, v1.ScheduleAnyway),
		optionalOneOf(path.Child("nodeAffinityPolicy"), c.NodeAffinityPolicy, v1.NodeInclusionPolicyIgnore,
			v1.NodeInclusionPolicyHonor),
		optionalOneOf(path.Child("nodeTaintsPolicy"), c.NodeTaintsPolicy, v1.NodeInclusionPolicyIgnore,
			v1.NodeInclusionPolicyHonor),
		labelSelector(c.LabelSelector, path.Child("labelSelector")),
		spreadKeys(c, path.Child("matchLabelKeys")),
	)
	if c.MaxSkew <= 0 {
		errs = append(errs, field.Invalid(path.Child("maxSkew"), c.MaxSkew, "must be more than 0"))
	}
	if c.MinDomains == nil {
		return errs
	}
	if *c.MinDomains <= 0 {
		errs = append(errs, field.Invalid(path.Child("minDomains"), *c.MinDomains, "must be more than 0"))
	}
	if c.WhenUnsatisfiable != v1.DoNotSchedule {
		errs = append(errs, field.Invalid(path.Child("minDomains"), *c.MinDomains,
			"may only be set when whenUnsatisfiable is DoNotSchedule"))
	}
	return errs
}

// spreadKeys checks the matchLabelKeys of a spread constraint.
func spreadKeys(c *v1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	return concat(keysBesideSelector(c.MatchLabelKeys, c.LabelSelector, path), keysOnceInSelector(c.MatchLabelKeys,
		c.LabelSelector, path))
}

// keysOnceInSelector refuses keys that the selector names too. PreparePodCreate adds one requirement on such a key,
// so only a second one is the user's.
func keysOnceInSelector(keys []string, selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	if selector == nil {
		return nil
	}
	times := map[string]int{}
	for key := range selector.MatchLabels {
		times[key]++
	}
	for _, expression := range selector.MatchExpressions {
		times[expression.Key]++
	}
	var errs field.ErrorList
	for i, key := range keys {
		if times[key] > 1 {
			errs = append(errs, field.Invalid(path.Index(i), key, "is in labelSelector too"))
		}
	}
	return errs
}

// PreparePodCreate turns matchLabelKeys and mismatchLabelKeys into requirements of the selectors beside them, for
// the current labels of the Pod (KEP-3633 for affinity, KEP-3243 for spreading).
func PreparePodCreate(pod *v1.Pod) {
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		require(c.LabelSelector, c.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
	}
	if a := pod.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			requireOfTerms(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
				a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, pod.Labels)
		}
		if a.PodAntiAffinity != nil {
			requireOfTerms(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
				a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, pod.Labels)
		}
	}
}

func requireOfTerms(required []v1.PodAffinityTerm, preferred []v1.WeightedPodAffinityTerm, labels map[string]string) {
	both := func(t *v1.PodAffinityTerm) {
		require(t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn, labels)
		require(t.LabelSelector, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, labels)
	}
	for i := range required {
		both(&required[i])
	}
	for i := range preferred {
		both(&preferred[i].PodAffinityTerm)
	}
}

func require(selector *metav1.LabelSelector, keys []string, operator metav1.LabelSelectorOperator,
	labels map[string]string) {
	if selector == nil {
		return
	}
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			selector.MatchExpressions = append(selector.MatchExpressions,
				metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
		}
	}
}
