package validation

import (
	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidatePodUpdate checks the change from old to pod. In the spec only these may change: images, a shorter
// deadline, more tolerations, fewer scheduling gates, and a negative grace period, which older servers stored, to
// one second.
func ValidatePodUpdate(pod, old *v1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := concat(
		changedMeta(&pod.ObjectMeta, &old.ObjectMeta),
		podSpec(&pod.Spec, spec),
	)
	if len(pod.Spec.Containers) != len(old.Spec.Containers) {
		return append(errs, field.Forbidden(spec.Child("containers"), "containers cannot be added or removed"))
	}
	if len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(spec.Child("initContainers"), "containers cannot be added or removed"))
	}
	return concat(errs,
		shorterDeadline(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, spec.Child("activeDeadlineSeconds")),
		moreTolerations(pod.Spec.Tolerations, old.Spec.Tolerations, spec.Child("tolerations")),
		fewerGates(&pod.Spec, &old.Spec, spec.Child("schedulingGates")),
		restUnchanged(&pod.Spec, &old.Spec, spec),
	)
}

// shorterDeadline checks that a deadline, once set, only becomes shorter.
func shorterDeadline(now, before *int64, path *field.Path) field.ErrorList {
	switch {
	case before == nil:
		return nil
	case now == nil:
		return field.ErrorList{field.Invalid(path, now, "may not be removed once set")}
	case *now > *before:
		return field.ErrorList{field.Invalid(path, *now, "may not be more than it was")}
	}
	return nil
}

// moreTolerations checks that each toleration of before still exists; its seconds may differ.
func moreTolerations(now, before []v1.Toleration, path *field.Path) field.ErrorList {
	have := map[v1.Toleration]bool{}
	for _, t := range now {
		t.TolerationSeconds = nil
		have[t] = true
	}
	for _, t := range before {
		t.TolerationSeconds = nil
		if !have[t] {
			return field.ErrorList{field.Forbidden(path, "tolerations may be added, not changed or removed")}
		}
	}
	return nil
}

func fewerGates(now, before *v1.PodSpec, path *field.Path) field.ErrorList {
	had := sets.New[v1.PodSchedulingGate](before.SchedulingGates...)
	var errs field.ErrorList
	for i, gate := range now.SchedulingGates {
		if !had.Has(gate) {
			errs = append(errs, field.Forbidden(path.Index(i).Child("name"), "gates may be removed, not added"))
		}
	}
	return errs
}

// narrowed allows a Pod with scheduling gates to narrow its choice of nodes, and restores the previous choice in
// munged.
func narrowed(munged, before *v1.PodSpec, path *field.Path) field.ErrorList {
	if len(before.SchedulingGates) == 0 {
		return nil
	}
	var errs field.ErrorList
	for key, value := range before.NodeSelector { // unordered: the error is the same for each key
		if now, ok := munged.NodeSelector[key]; !ok || now != value {
			errs = append(errs, field.Invalid(path.Child("nodeSelector"), munged.NodeSelector,
				"entries may be added, not changed or removed"))
			break
		}
	}
	munged.NodeSelector = before.NodeSelector
	had, has := nodeAffinityOf(before.Affinity), nodeAffinityOf(munged.Affinity)
	errs = append(errs, narrowedTerms(nodeTermsOf(has), nodeTermsOf(had),
		path.Child("affinity", "nodeAffinity", requiredTerms, "nodeSelectorTerms"))...)
	putBackNodeAffinity(munged, before)
	return errs
}

func nodeAffinityOf(a *v1.Affinity) *v1.NodeAffinity {
	if a == nil {
		return nil
	}
	return a.NodeAffinity
}

func nodeTermsOf(n *v1.NodeAffinity) []v1.NodeSelectorTerm {
	if n == nil || n.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return n.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// narrowedTerms checks that no term was added or removed, since terms are alternatives, and that each term only has
// more requirements.
func narrowedTerms(now, before []v1.NodeSelectorTerm, path *field.Path) field.ErrorList {
	if len(before) == 0 {
		return nil
	}
	if len(now) != len(before) {
		return field.ErrorList{field.Invalid(path, now, "terms may not be added or removed")}
	}
	var errs field.ErrorList
	for i := range before {
		a, b := &now[i], &before[i]
		// An empty term matches no node; with a requirement it would match some.
		widened := len(b.MatchExpressions)+len(b.MatchFields) == 0 && len(a.MatchExpressions)+len(a.MatchFields) > 0
		if widened || !beginsWith(a.MatchExpressions, b.MatchExpressions) || !beginsWith(a.MatchFields, b.MatchFields) {
			errs = append(errs, field.Invalid(path.Index(i), *a, "requirements may be added, not changed or removed"))
		}
	}
	return errs
}

func beginsWith(now, before []v1.NodeSelectorRequirement) bool {
	return len(now) >= len(before) && apiequality.Semantic.DeepEqual(now[:len(before):len(before)], before)
}

func putBackNodeAffinity(munged, before *v1.PodSpec) {
	had := nodeAffinityOf(before.Affinity)
	switch a := munged.Affinity; {
	case a == nil && had != nil:
		munged.Affinity = &v1.Affinity{NodeAffinity: had}
	case a != nil && before.Affinity == nil && a.PodAffinity == nil && a.PodAntiAffinity == nil:
		munged.Affinity = nil
	case a != nil:
		a.NodeAffinity = had
	}
}

// restUnchanged restores the fields that may change and compares the rest.
func restUnchanged(now, before *v1.PodSpec, path *field.Path) field.ErrorList {
	munged := now.DeepCopy()
	for i := range munged.Containers {
		munged.Containers[i].Image = before.Containers[i].Image
	}
	for i := range munged.InitContainers {
		munged.InitContainers[i].Image = before.InitContainers[i].Image
	}
	munged.ActiveDeadlineSeconds = before.ActiveDeadlineSeconds
	munged.Tolerations = before.Tolerations
	munged.SchedulingGates = before.SchedulingGates
	if grace := before.TerminationGracePeriodSeconds; grace != nil && *grace < 0 {
		if g := munged.TerminationGracePeriodSeconds; g != nil && *g == 1 {
			munged.TerminationGracePeriodSeconds = grace
		}
	}
	errs := narrowed(munged, before, path)
	if apiequality.Semantic.DeepEqual(munged, before) {
		return errs
	}
	return append(errs, field.Forbidden(path, "of a Pod's spec only these may change: containers[*].image, "+
		"initContainers[*].image, "+
		"activeDeadlineSeconds, tolerations (additions), schedulingGates (removals), and a negative "+
		"terminationGracePeriodSeconds to 1"))
}
