package membership

import (
	"maps"
	"net/netip"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

// Inputs is everything that Decide knows about one Service. Decide changes none of these objects.
type Inputs struct {
	Service     *v1.Service                // nil: the Service is gone
	Endpoints   *v1.Endpoints              // as stored under the Service's name; nil: none
	Slices      []*discovery.EndpointSlice // as stored: every slice with the Service's name in its label
	Pods        []*v1.Pod                  // Pods that the selector may match; other Pods are ignored
	Topology    *Topology                  // the zones of the nodes; nil: no node is known
	Controllers Controllers                // the controllers for which writes are planned
	Lookups     Lookups                    // for a Service without a selector
}

// Controllers says for which of Kubernetes' endpoints controllers Decide plans writes. The objects of the other
// controllers stay as they are.
type Controllers struct {
	Endpoints bool // endpoints-controller: Endpoints of Services with a selector
	Slices    bool // endpointslice-controller: EndpointSlices of Services with a selector
	Mirror    bool // endpointslicemirroring-controller, and all slices of Services without a selector
}

// AllControllers turns all three controllers on.
func AllControllers() Controllers { return Controllers{Endpoints: true, Slices: true, Mirror: true} }

// Lookups find what Decide needs to know about single addresses and names. A lookup must return the same result for the
// same argument during one call of Decide.
type Lookups struct {
	// Pods finds Pods by name and by address. A field that is nil finds none.
	Pods Pods
	// NodeOf returns the name of the node whose Pod CIDR contains addr, "" if there is none. nil: no Pod CIDR is known.
	NodeOf func(addr netip.Addr) string
	// Finding returns the health checker's result for a target; false while there is no result. nil: this process checks
	// nothing, and the state stored in the slices counts.
	Finding func(HealthTarget) (Finding, bool)
	// Inherited returns the health of an address that the slices of all Services had when this controller started. nil:
	// none is known.
	Inherited func(addr netip.Addr) Health
	// Answer returns the addresses that a name resolves to; false before the first answer. nil: no resolver runs here, and
	// the addresses stored in the slices are taken as the answer.
	Answer func(annotations.Backend) (NameAnswer, bool)
}

// A NameAnswer is the result of resolving one name of viaduct.dev/backends.
type NameAnswer struct {
	Addrs   []netip.AddrPort
	Dropped int    // the number of further addresses that are over the resolver's limit
	Err     string // why the last attempt failed; Addrs is then the last good answer
}

// A Decision is the desired state of one Service, with the reasons.
type Decision struct {
	// Endpoints is the desired object: Inputs.Endpoints itself if that is right, nil if there should be none.
	Endpoints *v1.Endpoints
	Slices    []SlicePlan // one for each keeper, in the order of the writes

	Members    []Member      // of a Service with a selector
	Addresses  []Address     // of a Service without a selector
	Hints      []HintsChange // hints by CPU that these writes add or remove
	Unmirrored int           // addresses of the Endpoints that no slice lists: see PlanMirror

	Targets map[HealthTarget]bool // targets to check; the value says whether the target counts as up until its first check
	Names   []annotations.Backend // names to resolve
	Events  []Event               // what the author should know, as long as the problem lasts
}

// A SlicePlan is the plan for the slices of one keeper (the controller in the managed-by label).
type SlicePlan struct {
	Keeper string                     // the value of the label endpointslice.kubernetes.io/managed-by
	Have   []*discovery.EndpointSlice // the slices that exist
	Keeps  bool                       // the keeper still needs slices; false: all its slices are to be deleted
	Plan
}

// An Address is one address that a person wrote or that a name resolves to, with the decision about it.
type Address struct {
	Member             // the address in use: Addr, Ready and Why are decided
	Written netip.Addr // the address as it is written; it differs from Addr if its Pod is followed
	From    ObjectKey  // the object in which it is written
	Finding Finding    // the result of its health check; State is Unchecked without a check or before the first result
}

// An ObjectKey names an object of the Service's namespace.
type ObjectKey struct{ Kind, Name string }

// The kinds of an ObjectKey.
const (
	KindService       = "Service"
	KindEndpoints     = "Endpoints"
	KindEndpointSlice = "EndpointSlice"
	KindPod           = "Pod"
)

// Plan returns the plan for the slices of a keeper; nil if that controller does not run.
func (d *Decision) Plan(keeper string) *SlicePlan {
	for i := range d.Slices {
		if d.Slices[i].Keeper == keeper {
			return &d.Slices[i]
		}
	}
	return nil
}

// Decide returns the desired Endpoints and EndpointSlices of a Service, the targets to check, the names to resolve, and
// the Reason of every address. It is the only place where this is decided: the controller applies a Decision, and
// explain prints one.
func Decide(in Inputs) Decision {
	d := Decision{Endpoints: in.Endpoints}
	if in.Service != nil && ChoosesPods(in.Service) {
		decidePods(&in, &d)
	} else {
		decideManual(&in, &d)
	}
	return d
}

// decidePods decides for a Service with a selector. Slices from a time when the Service had no selector are deleted.
func decidePods(in *Inputs, d *Decision) {
	svc, have := in.Service, KeptBy(in.Slices, SliceManagedBy)
	topology := in.Topology
	if topology == nil {
		topology = NewTopology()
	}
	d.Members = OfPods(svc, in.Pods, topology.Zone)
	d.Events = append(d.Events, invalidWeights(in.Pods)...)
	hints := AddHints(svc, d.Members, topology, have)
	if in.Controllers.Endpoints {
		d.Endpoints = desiredEndpoints(svc, d.Members, in.Endpoints)
	}
	if in.Controllers.Slices {
		plan := PlanSlices(svc, d.Members, have)
		if svc.DeletionTimestamp != nil {
			plan.Create = nil // a new object would only delay the end of the Service
		}
		d.Hints = hints
		d.Slices = append(d.Slices, SlicePlan{Keeper: SliceManagedBy, Have: have, Keeps: true, Plan: plan})
	}
	if in.Controllers.Mirror {
		d.deleteAll(in.Slices, MirrorManagedBy, ShadowManagedBy, NamesManagedBy)
	}
}

// deleteAll plans the deletion of the slices of keepers that have nothing to keep slices for.
func (d *Decision) deleteAll(have []*discovery.EndpointSlice, keepers ...string) {
	for _, keeper := range keepers {
		kept := KeptBy(have, keeper)
		d.Slices = append(d.Slices, SlicePlan{Keeper: keeper, Have: kept, Plan: Plan{Delete: kept}})
	}
}

// KeptBy returns the slices whose label endpointslice.kubernetes.io/managed-by is keeper.
func KeptBy(all []*discovery.EndpointSlice, keeper string) (kept []*discovery.EndpointSlice) {
	for _, s := range all {
		if s.Labels[discovery.LabelManagedBy] == keeper {
			kept = append(kept, s)
		}
	}
	return kept
}

// desiredEndpoints returns the Endpoints of a Service with a selector. It returns have itself if that is right.
func desiredEndpoints(svc *v1.Service, members []Member, have *v1.Endpoints) *v1.Endpoints {
	subsets, truncated := Subsets(svc, members)
	want := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name}}
	if have != nil {
		have.ObjectMeta.DeepCopyInto(&want.ObjectMeta)
	}
	want.Subsets = subsets
	want.Labels = EndpointsLabels(svc)
	want.Annotations = EndpointsAnnotations(want.Annotations, truncated)
	if have != nil && maps.Equal(have.Labels, want.Labels) && maps.Equal(have.Annotations, want.Annotations) &&
		SameSubsets(have.Subsets, want.Subsets) {
		return have
	}
	return want
}

// An OutageReason says at which step a Service ends up without endpoints. It is the reason of the condition
// viaduct.dev/EndpointsAvailable.
type OutageReason string

// The OutageReasons.
const (
	SelectorMatchesNothing OutageReason = "SelectorMatchesNothing" // no Pod has the labels of the selector
	NoPodReady             OutageReason = "NoPodReady"             // Pods have the labels, but none gets connections
	NoAddressReady         OutageReason = "NoAddressReady"         // no written or resolved address gets connections
	NoEndpoints            OutageReason = "NoEndpoints"            // there are ready endpoints, but the slices lack them
)

// OutageOf returns the reason why the Service of in has no endpoints. Call it only for a Service without endpoints. d
// is the Decision for in.
func OutageOf(in Inputs, d Decision) OutageReason {
	portless := in.Service != nil && len(in.Service.Spec.Ports) == 0
	ready := func(m Member) bool { return m.Ready && (portless || len(m.Ports) > 0) }
	if in.Service == nil || !ChoosesPods(in.Service) {
		for i := range d.Addresses {
			if ready(d.Addresses[i].Member) {
				return NoEndpoints
			}
		}
		return NoAddressReady
	}
	for _, m := range d.Members {
		if ready(m) {
			return NoEndpoints
		}
	}
	for _, pod := range in.Pods {
		if pod.Namespace == in.Service.Namespace && selects(in.Service.Spec.Selector, pod.Labels) {
			return NoPodReady
		}
	}
	return SelectorMatchesNothing
}
