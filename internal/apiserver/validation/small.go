package validation

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DefaultNamespace sets the phase, and the label with the name by which a selector can match the namespace.
func DefaultNamespace(ns *v1.Namespace) {
	defaultTo(&ns.Status.Phase, v1.NamespaceActive)
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[v1.LabelMetadataName] = ns.Name
}

// ValidateNamespace checks a new namespace.
func ValidateNamespace(ns *v1.Namespace) field.ErrorList {
	errs := newMeta(&ns.ObjectMeta, clusterWide, apivalidation.ValidateNamespaceName)
	for _, name := range ns.Spec.Finalizers {
		// the path of the whole list, as upstream reports it
		errs = append(errs, finalizer(name, field.NewPath("spec", "finalizers"))...)
	}
	return errs
}

// ValidateNamespaceUpdate checks the change from old to ns. The storage strategy keeps the fields that cannot
// change.
func ValidateNamespaceUpdate(ns, old *v1.Namespace) field.ErrorList {
	return changedMeta(&ns.ObjectMeta, &old.ObjectMeta)
}

// ValidateNamespaceStatusUpdate checks a change of the status. The phase must agree with whether a deletion has
// begun. The path is spelled Phase, as upstream spells it.
func ValidateNamespaceStatusUpdate(ns, old *v1.Namespace) field.ErrorList {
	errs := changedMeta(&ns.ObjectMeta, &old.ObjectMeta)
	want := v1.NamespaceActive
	if !ns.DeletionTimestamp.IsZero() {
		want = v1.NamespaceTerminating
	}
	if ns.Status.Phase != want {
		errs = append(errs, field.Invalid(field.NewPath("status", "Phase"), ns.Status.Phase, "must be "+string(want)))
	}
	return errs
}

// ValidateNamespaceFinalizeUpdate checks a change of the namespace's own finalizers.
func ValidateNamespaceFinalizeUpdate(ns, old *v1.Namespace) field.ErrorList {
	errs := changedMeta(&ns.ObjectMeta, &old.ObjectMeta)
	for i, name := range ns.Spec.Finalizers {
		errs = append(errs, finalizer(name, field.NewPath("spec", "finalizers").Index(i))...)
	}
	return errs
}

func finalizer(name v1.FinalizerName, path *field.Path) field.ErrorList {
	return concat(apivalidation.ValidateFinalizerName(string(name), path), standardFinalizer(string(name), path))
}

// ValidateServiceAccount checks a new service account. Only its metadata has rules.
func ValidateServiceAccount(account *v1.ServiceAccount) field.ErrorList {
	return newMeta(&account.ObjectMeta, namespaced, apivalidation.ValidateServiceAccountName)
}

// ValidateServiceAccountUpdate checks the change from old to account.
func ValidateServiceAccountUpdate(account, old *v1.ServiceAccount) field.ErrorList {
	return changedMeta(&account.ObjectMeta, &old.ObjectMeta)
}

// ValidateLease checks a new lease.
func ValidateLease(lease *coordinationv1.Lease) field.ErrorList {
	return concat(
		apivalidation.ValidateObjectMeta(&lease.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain,
			field.NewPath("metadata")),
		leaseSpec(&lease.Spec),
	)
}

// ValidateLeaseUpdate checks the change from old to lease.
func ValidateLeaseUpdate(lease, old *coordinationv1.Lease) field.ErrorList {
	return concat(
		apivalidation.ValidateObjectMetaUpdate(&lease.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata")),
		leaseSpec(&lease.Spec),
	)
}

func leaseSpec(lease *coordinationv1.LeaseSpec) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if seconds := lease.LeaseDurationSeconds; seconds != nil && *seconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *seconds, "must be more than 0"))
	}
	if n := lease.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), *n, "must not be negative"))
	}
	if lease.Strategy != nil {
		// twice, as upstream reports it
		errs = append(errs, leaseStrategy(*lease.Strategy, path.Child("strategy", "strategy"))...)
	}
	if lease.PreferredHolder != nil && *lease.PreferredHolder != "" && (lease.Strategy == nil || *lease.Strategy == "") {
		errs = append(errs, field.Forbidden(path.Child("preferredHolder"), "may not be set without strategy"))
	}
	return errs
}

// leaseStrategy checks how a holder is picked: by Kubernetes' own strategy, or by a custom one, whose name has a
// domain.
func leaseStrategy(strategy coordinationv1.CoordinatedLeaseStrategy, path *field.Path) field.ErrorList {
	if !strings.Contains(string(strategy), "/") {
		return oneOf(path, strategy, coordinationv1.OldestEmulationVersion)
	}
	return invalid(path, strategy, syntax.IsQualifiedName(string(strategy)))
}
