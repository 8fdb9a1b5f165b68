package apiserver

import (
	"context"
	"strconv"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/validation"
)

// The resources whose rules are short.

func nodeKind() kind[*corev1.Node] {
	return kind[*corev1.Node]{
		resource: corev1.Resource("nodes"), singular: "node", shortNames: []string{"no"}, clusterWide: true,
		table:          printers.Nodes(),
		newObject:      func() *corev1.Node { return &corev1.Node{} },
		newList:        func() runtime.Object { return &corev1.NodeList{} },
		prepareCreate:  func(_ context.Context, n *corev1.Node) { n.Spec.ConfigSource = nil },
		prepareUpdate:  prepareNode,
		validate:       validation.ValidateNode,
		validateUpdate: validation.ValidateNodeUpdate,
		warn:           validation.NodeWarnings,
		unconditional:  true,
		selectable: func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		},
		status: &statusKind[*corev1.Node]{
			prepareUpdate:  func(n, old *corev1.Node) { n.Spec = old.Spec },
			validateUpdate: validation.ValidateNodeStatusUpdate,
		},
	}
}

// prepareNode keeps the status, and forgets a configuration that no agent reads any more.
func prepareNode(_ context.Context, node, old *corev1.Node) {
	node.Status = old.Status
	if old.Spec.ConfigSource == nil {
		node.Spec.ConfigSource = nil
	}
}

func configMapKind() kind[*corev1.ConfigMap] {
	return kind[*corev1.ConfigMap]{
		resource: corev1.Resource("configmaps"), singular: "configmap", shortNames: []string{"cm"},
		table:          printers.ConfigMaps(),
		newObject:      func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		newList:        func() runtime.Object { return &corev1.ConfigMapList{} },
		validate:       validation.ValidateConfigMap,
		validateUpdate: validation.ValidateConfigMapUpdate,
		unconditional:  true,
	}
}

func secretKind() kind[*corev1.Secret] {
	return kind[*corev1.Secret]{
		resource: corev1.Resource("secrets"), singular: "secret",
		table:          printers.Secrets(),
		newObject:      func() *corev1.Secret { return &corev1.Secret{} },
		newList:        func() runtime.Object { return &corev1.SecretList{} },
		prepareCreate:  func(_ context.Context, s *corev1.Secret) { mergeStringData(s) },
		prepareUpdate:  func(_ context.Context, s, _ *corev1.Secret) { mergeStringData(s) },
		validate:       validation.ValidateSecret,
		validateUpdate: validation.ValidateSecretUpdate,
		unconditional:  true,
		selectable:     func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} },
	}
}

// mergeStringData moves the write-only plain values into data, where they win.
func mergeStringData(s *corev1.Secret) {
	for k, v := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
}

func serviceAccountKind() kind[*corev1.ServiceAccount] {
	return kind[*corev1.ServiceAccount]{
		resource: corev1.Resource("serviceaccounts"), singular: "serviceaccount", shortNames: []string{"sa"},
		table:          printers.ServiceAccounts(),
		newObject:      func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} },
		newList:        func() runtime.Object { return &corev1.ServiceAccountList{} },
		prepareCreate:  func(_ context.Context, a *corev1.ServiceAccount) { keepSecretNames(a) },
		prepareUpdate:  func(_ context.Context, a, _ *corev1.ServiceAccount) { keepSecretNames(a) },
		validate:       validation.ValidateServiceAccount,
		validateUpdate: validation.ValidateServiceAccountUpdate,
	}
}

// keepSecretNames forgets all of the references to secrets but their names: they are of the account's own namespace.
func keepSecretNames(account *corev1.ServiceAccount) {
	for i, secret := range account.Secrets {
		account.Secrets[i] = corev1.ObjectReference{Name: secret.Name}
	}
}

// eventTTL is how long an Event is kept, in seconds; upstream's default.
const eventTTL = 3600

func eventKind() kind[*corev1.Event] {
	return kind[*corev1.Event]{
		resource: corev1.Resource("events"), singular: "event", shortNames: []string{"ev"},
		table:          printers.Events(),
		newObject:      func() *corev1.Event { return &corev1.Event{} },
		newList:        func() runtime.Object { return &corev1.EventList{} },
		validate:       validation.ValidateEvent,
		validateUpdate: validation.ValidateEventUpdate,
		createOnUpdate: true,
		unconditional:  true,
		ttl:            eventTTL,
		selectable:     eventFields,
	}
}

func eventFields(e *corev1.Event) fields.Set {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}

func leaseKind() kind[*coordinationv1.Lease] {
	return kind[*coordinationv1.Lease]{
		resource: coordinationv1.Resource("leases"), singular: "lease",
		table:          printers.Leases(),
		newObject:      func() *coordinationv1.Lease { return &coordinationv1.Lease{} },
		newList:        func() runtime.Object { return &coordinationv1.LeaseList{} },
		validate:       validation.ValidateLease,
		validateUpdate: validation.ValidateLeaseUpdate,
		createOnUpdate: true,
	}
}
