package membership

import (
	"maps"
	"net/netip"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

// Inputs are all that Decide knows about one Service. Decide changes none of them.
type Inputs struct {
	Service     *v1.Service                // nil: it is gone
	Endpoints   *v1.Endpoints              // as stored under the Service's name; nil: none
	Slices      []*discovery.EndpointSlice // as stored: every slice with the Service's name in its label
	Pods        []*v1.Pod                  // those that the selector may match; others are ignored
	Topology    *Topology                  // the zones of the nodes; nil: no node is known
	Controllers Controllers                // whose objects are decided
	Lookups     Lookups                    // for a Service without a selector
}

// Controllers says for which of Kubernetes' endpoints controllers Decide plans writes. What the others keep stays as it
// is.
type Controllers struct {
	Endpoints bool // endpoints-controller: Endpoints of Services with a selector
	Slices    bool // endpointslice-controller: EndpointSlices of the same
	Mirror    bool // endpointslicemirroring-controller, and all slices of Services without a selector
}

// AllControllers has all of them.
func AllControllers() Controllers { return Controllers{Endpoints: true, Slices: true, Mirror: true} }

// Lookups find what Decide needs to know about single addresses and names. Each must give the same answer during one
// call of Decide.
type Lookups struct {
	// Pods finds Pods by name and by address. Fields that are nil find none.
	Pods Pods
	// NodeOf is the name of the node whose range of Pod addresses contains addr, "" if there is none. nil: no range is
	// known.
	NodeOf func(addr netip.Addr) string
	// Finding is what the health checker found of a target; false while it has found nothing. nil: no checker runs here,
	// and what the slices say holds.
	Finding func(HealthTarget) (Finding, bool)
	// Inherited is what the slices of all Services said of an address when this controller began to work. nil: nothing.
	Inherited func(addr netip.Addr) Health
	// Answer is what a name stands for; false before the first answer. nil: no resolver runs here, and the addresses in
	// the slices are taken for the answer.
	Answer func(annotations.Backend) (NameAnswer, bool)
}

// A NameAnswer is what a name of viaduct.dev/backends stands for.
type NameAnswer struct {
	Addrs   []netip.AddrPort
	Dropped int    // further addresses, which are past the resolver's limit
	Err     string // why the last attempt failed; Addrs are then those of the last good one
}

// A Decision is what should be true of one Service, and why.
type Decision struct {
	// Endpoints is the object that there should be: Inputs.Endpoints itself if that is right, nil if there should be none.
	Endpoints *v1.Endpoints
	Slices    []SlicePlan // one for each keeper, in the order of the writes

	Members    []Member      // of a Service with a selector
	Addresses  []Address     // of a Service without a selector
	Hints      []HintsChange // the hints by CPU that appear or vanish with these writes
	Unmirrored int           // addresses of the Endpoints that no slice lists: see PlanMirror

	Targets map[HealthTarget]bool // to be checked; the value is whether the target counts as up until it is asked
	Names   []annotations.Backend // to be resolved
	Events  []Event               // what the author should know, for as long as it is so
}

// A SlicePlan is the plan for the slices of one keeper.
type SlicePlan struct {
	Keeper string                     // the value of the label endpointslice.kubernetes.io/managed-by
	Have   []*discovery.EndpointSlice // those that there are
	Keeps  bool                       // there is something to keep slices for; false: all of them are to be deleted
	Plan
}

// An Address is one address that a person wrote or that a name stands for, and what is decided about it.
type Address struct {
	Member             // as it is used: Addr, Ready and Why are decided
	Written netip.Addr // the address as it is written; it differs from Addr if its Pod is followed
	From    ObjectKey  // where it is written
	Finding Finding    // what its health check found; State is Unchecked if it has none or was not asked yet
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

// Plan is the plan for the slices of a keeper; nil if that controller does not run.
func (d *Decision) Plan(keeper string) *SlicePlan {
	for i := range d.Slices {
		if d.Slices[i].Keeper == keeper {
			return &d.Slices[i]
		}
	}
	return nil
}

// Decide says what the Endpoints and EndpointSlices of a Service should be, which addresses are to be checked and which
// names to be resolved for that, and the Reason of every address. It is the only place where that is decided: the
// controller applies a Decision and explain prints one.
func Decide(in Inputs) Decision {
	d := Decision{Endpoints: in.Endpoints}
	if in.Service != nil && ChoosesPods(in.Service) {
		decidePods(&in, &d)
	} else {
		decideManual(&in, &d)
	}
	return d
}

// decidePods decides for a Service with a selector. What was kept for it without one is deleted.
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

// deleteAll plans the end of the slices of keepers that have nothing to keep slices for.
func (d *Decision) deleteAll(have []*discovery.EndpointSlice, keepers ...string) {
	for _, keeper := range keepers {
		kept := KeptBy(have, keeper)
		d.Slices = append(d.Slices, SlicePlan{Keeper: keeper, Have: kept, Plan: Plan{Delete: kept}})
	}
}

// KeptBy are the slices whose label endpointslice.kubernetes.io/managed-by is keeper.
func KeptBy(all []*discovery.EndpointSlice, keeper string) (kept []*discovery.EndpointSlice) {
	for _, s := range all {
		if s.Labels[discovery.LabelManagedBy] == keeper {
			kept = append(kept, s)
		}
	}
	return kept
}

// desiredEndpoints are the Endpoints of a Service with a selector: have itself if it is right.
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

// An OutageReason says which step keeps a Service without endpoints. It is the reason of the condition
// viaduct.dev/EndpointsAvailable.
type OutageReason string

// The OutageReasons.
const (
	SelectorMatchesNothing OutageReason = "SelectorMatchesNothing" // no Pod has the labels of the selector
	NoPodReady             OutageReason = "NoPodReady"             // Pods have the labels, and none gets connections
	NoAddressReady         OutageReason = "NoAddressReady"         // no written or resolved address gets connections
	NoEndpoints            OutageReason = "NoEndpoints"            // there are ready endpoints, but the slices lack them
)

// OutageOf is the reason why the Service of in has no endpoints, if it has none; d is the Decision for in.
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
