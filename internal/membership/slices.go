package membership

import (
	"cmp"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxEndpointsPerSlice is the maximum number of endpoints in one slice; upstream's default.
const MaxEndpointsPerSlice = 100

// A Plan lists the writes that bring the EndpointSlices of one object to the desired state. All objects in it are new:
// the input is not changed. An empty Plan means that no write is needed.
type Plan struct {
	Create, Update, Delete []*discovery.EndpointSlice
}

// Empty says whether there is nothing to write.
func (p Plan) Empty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// PlanSlices plans the changes that make have, the existing slices of svc, list exactly members. A slice holds
// endpoints of one family with one list of ports, at most MaxEndpointsPerSlice of them. The plan writes as few slices
// as possible: an endpoint stays in its slice, and new endpoints fill slices that are written anyway.
func PlanSlices(svc *v1.Service, members []Member, have []*discovery.EndpointSlice) Plan {
	return planSlices(svc, SliceLabels(svc), members, have)
}

// PlanNamed is PlanSlices for members from resolved names (see OfNames). They have slices of their own.
func PlanNamed(svc *v1.Service, members []Member, have []*discovery.EndpointSlice) Plan {
	labels := SliceLabels(svc)
	labels[discovery.LabelManagedBy] = NamesManagedBy
	return planSlices(svc, labels, members, have)
}

func planSlices(svc *v1.Service, labels map[string]string, members []Member, have []*discovery.EndpointSlice) Plan {
	want := groupMembers(svc, members)
	held, plan := sortHeld(svc, want, have)
	for _, key := range slices.SortedFunc(maps.Keys(want), compareGroups) {
		plan.add(packGroup(svc, labels, key, want[key], held[key]))
	}
	plan.recycle()
	plan.addBalancing(members, have)
	return plan
}

// group is what all endpoints of one slice have in common.
type group struct {
	family discovery.AddressType
	ports  string // as a string, so that groups are comparable
}

func compareGroups(a, b group) int {
	return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.ports, b.ports))
}

// wanted holds the endpoints of a group, in order, with the group's ports.
type wanted struct {
	ports     []Port
	endpoints []discovery.Endpoint
}

// groupMembers makes the endpoints of every wanted group. A family without members has one group without ports: its
// empty slice shows that the Service was processed and has no endpoints.
func groupMembers(svc *v1.Service, members []Member) map[group]*wanted {
	want := map[group]*wanted{}
	var ports []Port
	var spelled string // ports as a string; most members have the same ports as the member before
	for i := range members {
		m := &members[i]
		if !slices.Equal(m.Ports, ports) {
			ports, spelled = m.Ports, spellPorts(m.Ports)
		}
		key := group{addressType(familyOf(m.Addr)), spelled}
		if want[key] == nil {
			want[key] = &wanted{ports: m.Ports, endpoints: make([]discovery.Endpoint, 0, len(members)-i)}
		}
		want[key].endpoints = append(want[key].endpoints, endpointOf(m))
	}
	for _, family := range Families(svc) {
		t := addressType(family)
		// unordered: it only matters whether one exists
		if !slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(g group) bool { return g.family == t }) {
			want[group{t, ""}] = &wanted{}
		}
	}
	return want
}

func addressType(family v1.IPFamily) discovery.AddressType { return discovery.AddressType(family) }

func endpointOf(m *Member) discovery.Endpoint {
	e := discovery.Endpoint{
		Addresses:  []string{m.Addr.String()},
		Conditions: discovery.EndpointConditions{Ready: &m.Ready, Serving: &m.Serving, Terminating: &m.Terminating},
		Hostname:   unlessEmpty(&m.Hostname), NodeName: unlessEmpty(&m.Node), Zone: unlessEmpty(&m.Zone),
	}
	if m.Target != (v1.ObjectReference{}) {
		e.TargetRef = &m.Target
	}
	if m.HintZone != "" || m.HintNode != "" {
		e.Hints = hintsOf(m)
	}
	return e
}

func hintsOf(m *Member) *discovery.EndpointHints {
	var h discovery.EndpointHints
	if m.HintZone != "" {
		h.ForZones = []discovery.ForZone{{Name: m.HintZone}}
	}
	if m.HintNode != "" {
		h.ForNodes = []discovery.ForNode{{Name: m.HintNode}}
	}
	return &h
}

// sortHeld sorts the existing slices of svc into their groups, and plans the deletion of slices that belong to no
// group.
func sortHeld(svc *v1.Service, want map[group]*wanted, have []*discovery.EndpointSlice) (
	map[group][]*discovery.EndpointSlice, Plan) {
	var plan Plan
	held := map[group][]*discovery.EndpointSlice{}
	for _, s := range have {
		key := group{s.AddressType, spellPorts(portsOfSlice(s))}
		if s.DeletionTimestamp != nil {
			continue
		}
		if want[key] == nil || !ownedBy(s, svc) {
			plan.Delete = append(plan.Delete, s)
			continue
		}
		held[key] = append(held[key], s)
	}
	for _, group := range held { // unordered: each group is sorted
		slices.SortFunc(group, compareNames)
	}
	slices.SortFunc(plan.Delete, compareNames)
	return held, plan
}

func compareNames(a, b *discovery.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) }

func ownedBy(s *discovery.EndpointSlice, svc *v1.Service) bool {
	return slices.ContainsFunc(s.OwnerReferences, func(r metav1.OwnerReference) bool {
		return r.Kind == "Service" && r.APIVersion == "v1" && r.UID == svc.UID
	})
}

func (p *Plan) add(more Plan) {
	p.Create = append(p.Create, more.Create...)
	p.Update = append(p.Update, more.Update...)
	p.Delete = append(p.Delete, more.Delete...)
}

// recycle turns a create and a delete of the same family into one update. A watcher then sees one change, and at no
// moment is the slice missing.
func (p *Plan) recycle() {
	var keep []*discovery.EndpointSlice
	for _, gone := range p.Delete {
		i := slices.IndexFunc(p.Create, func(c *discovery.EndpointSlice) bool {
			return c.AddressType == gone.AddressType && slices.ContainsFunc(gone.OwnerReferences,
				func(r metav1.OwnerReference) bool {
					return r.UID == c.OwnerReferences[0].UID
				})
		})
		if i < 0 {
			keep = append(keep, gone)
			continue
		}
		made := p.Create[i]
		p.Create = slices.Delete(p.Create, i, i+1)
		meta := *gone.ObjectMeta.DeepCopy()
		meta.Labels, meta.OwnerReferences = made.Labels, made.OwnerReferences
		made.ObjectMeta = meta
		p.Update = append(p.Update, made)
	}
	p.Delete = keep
}

// spellPorts makes a map key from sorted ports.
func spellPorts(ports []Port) string {
	var b []byte
	for _, p := range ports {
		b = append(b, p.Name...)
		b = append(b, 0, byte(p.Number>>24), byte(p.Number>>16), byte(p.Number>>8), byte(p.Number))
		b = append(b, p.Protocol...)
		b = append(b, 0)
		b = append(b, p.AppProtocol...)
		b = append(b, 0)
	}
	return string(b)
}

func portsOfSlice(s *discovery.EndpointSlice) []Port {
	var ports []Port
	for _, p := range s.Ports {
		port := Port{Protocol: v1.ProtocolTCP}
		if p.Name != nil {
			port.Name = *p.Name
		}
		if p.Port != nil {
			port.Number = *p.Port
		}
		if p.Protocol != nil {
			port.Protocol = *p.Protocol
		}
		if p.AppProtocol != nil {
			port.AppProtocol = *p.AppProtocol
		}
		ports = append(ports, port)
	}
	slices.SortFunc(ports, comparePorts)
	return ports
}

func slicePorts(ports []Port) []discovery.EndpointPort {
	var out []discovery.EndpointPort
	for _, p := range ports {
		out = append(out, discovery.EndpointPort{Name: &p.Name, Port: &p.Number, Protocol: &p.Protocol,
			AppProtocol: optional(p.AppProtocol)})
	}
	return out
}
