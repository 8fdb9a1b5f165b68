package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
)

// hand is what people gave a Service without a selector, and what has become of it.
type hand struct {
	world    *World
	settings annotations.Settings
	stand    map[netip.Addr]membership.Standing // what the checks found, by the slices
	pods     membership.Pods
	known    map[netip.Addr]string
}

// byHand tells of the addresses that people wrote, of those that names stand for, and of the slices made of them.
func (r *Report) byHand(w *World) {
	h := &hand{world: w, known: membership.Remembered(w.Slices)}
	h.pods = membership.Pods{
		Named: func(name string) *v1.Pod {
			if i := slices.IndexFunc(w.Pods, func(p *v1.Pod) bool { return p.Name == name }); i >= 0 {
				return w.Pods[i]
			}
			return nil
		},
		At: func(addr netip.Addr) []*v1.Pod { return w.At[addr] },
	}
	r.readSettings(h)
	h.stand = standings(w.Slices)
	ep := w.Endpoints
	if !membership.Mirrored(ep, w.Service) {
		ep = nil
	}
	r.writtenAddresses(h, ep)
	r.writtenObjects(h, ep)
	if len(r.Addresses) == 0 {
		r.nobodyWrote(w)
	}
}

func (r *Report) readSettings(h *hand) {
	settings, errs := annotations.OfService(h.world.Service)
	if h.world.Endpoints != nil {
		of, more := annotations.OfEndpoints(h.world.Endpoints)
		settings, errs = settings.Or(of), append(errs, more...)
	}
	h.settings = settings
	for _, err := range errs {
		r.problem(StageService, err.Error()+"; it counts as not written.")
	}
}

// standings are what the slices say that checks found.
func standings(list []*discovery.EndpointSlice) map[netip.Addr]membership.Standing {
	stand := map[netip.Addr]membership.Standing{}
	for _, s := range list {
		if membership.WrittenByHand(s) {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Conditions.Serving == nil || e.Conditions.Ready == nil || len(e.Addresses) == 0 {
				continue
			}
			addr, err := netip.ParseAddr(e.Addresses[0])
			if err != nil {
				continue
			}
			why := membership.CheckPassed
			switch {
			case *e.Conditions.Ready && !*e.Conditions.Serving:
				why = membership.AllDown
			case !*e.Conditions.Serving:
				why = membership.CheckFailed
			}
			stand[addr] = membership.Standing{Ready: *e.Conditions.Ready, Serving: *e.Conditions.Serving, Why: why}
		}
	}
	return stand
}

// amend is what the controller does with an address that was written, but for the check, of which the slices tell.
func (h *hand) amend(m membership.Member) (membership.Member, bool) {
	moved := false
	if h.settings.Follow {
		if name := membership.PodOf(m, h.world.Service.Namespace, h.pods, h.known); name != "" {
			m, moved = membership.FollowPod(m, name, h.pods)
		}
	}
	if h.checked() {
		if judged, ok := membership.Judged(m, h.stand); ok {
			return judged, true
		}
	}
	return m, moved
}

// checked says whether anything is.
func (h *hand) checked() bool {
	if h.settings.Check != nil {
		return true
	}
	return slices.ContainsFunc(h.world.Slices, func(s *discovery.EndpointSlice) bool {
		of, _ := annotations.OfSlice(s)
		return of.Check != nil
	})
}

func (r *Report) writtenAddresses(h *hand, ep *v1.Endpoints) {
	add := func(m membership.Member, from string, amend bool) {
		at := m.Addr
		if amend {
			m, _ = h.amend(m)
		}
		line := AddressLine{Address: at.String(), Ready: m.Ready, Reason: string(m.Why), Sentence: m.Why.Sentence(),
			From: from}
		if m.Addr != at {
			line.Address += " → " + m.Addr.String()
		}
		for _, p := range m.Ports {
			line.Ports = append(line.Ports, int(p.Number))
		}
		if m.Why == membership.CheckFailed || m.Why == membership.AllDown {
			line.Cause, line.Since = h.cause(m.Addr)
		}
		for _, pod := range h.world.At[m.Addr] {
			line.Pod = pod.Namespace + "/" + pod.Name
		}
		r.Addresses = append(r.Addresses, line)
	}
	if ep != nil {
		for _, m := range membership.OfEndpoints(ep.Subsets) {
			add(m, "endpoints/"+ep.Name, true)
		}
	}
	for _, s := range sortedSlices(h.world.Slices) {
		switch {
		case membership.WrittenByHand(s):
			for _, m := range membership.OfSlice(s) {
				add(m, "endpointslice/"+s.Name, true)
			}
		case s.Labels[discovery.LabelManagedBy] == membership.NamesManagedBy:
			for _, m := range membership.OfSlice(s) {
				m.Ready, m.Why = true, membership.ByName
				if stand, ok := h.stand[m.Addr]; ok && h.settings.Check != nil {
					m.Ready, m.Why = stand.Ready, stand.Why
				}
				add(m, annotations.Backends, false)
			}
		}
	}
	r.addressProblems(h)
}

// cause is what the check of an address found last, by the events, and when.
func (h *hand) cause(addr netip.Addr) (string, *time.Time) {
	var last *v1.Event
	for _, e := range h.world.Events {
		if e.Reason == "EndpointDown" && strings.HasPrefix(e.Message, addr.String()) &&
			(last == nil || e.LastTimestamp.After(last.LastTimestamp.Time)) {
			last = e
		}
	}
	if last == nil {
		return "", nil
	}
	_, cause, _ := strings.Cut(last.Message, "): ")
	if last.LastTimestamp.IsZero() {
		return cause, nil
	}
	return cause, &last.LastTimestamp.Time
}

func (r *Report) addressProblems(h *hand) {
	var down []string
	refused, allDown := 0, false
	for _, a := range r.Addresses {
		switch membership.Reason(a.Reason) {
		case membership.CheckFailed, membership.AllDown:
			allDown = allDown || membership.Reason(a.Reason) == membership.AllDown
			text := a.Address
			if a.Cause != "" {
				text += " (" + a.Cause + ")"
			}
			down = append(down, text)
		}
		if !a.Ready {
			refused++
		}
		if namespace, _, ok := strings.Cut(a.Pod, "/"); ok && namespace != h.world.Service.Namespace {
			r.problem(StageAddresses, fmt.Sprintf("%s is the address of Pod %s, of another namespace (CVE-2021-25740).",
				a.Address, a.Pod))
		}
	}
	switch {
	case len(down) == 0 && refused > 0 && refused == len(r.Addresses):
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: %s, and none as ready.", plural(refused, "address is written",
			"addresses are written")))
	case len(down) == 0:
	case allDown:
		r.problem(StageAddresses, fmt.Sprintf("No address answers its health check: %s. Connections are sent to all of "+
			"them all the same.", few(down)))
	case len(down) < len(r.Addresses):
		r.note(fmt.Sprintf("no connections are sent to %s", few(down)))
	default:
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: no address answers its health check, and "+
			"viaduct.dev/when-all-down is refuse: %s.", few(down)))
	}
}

// writtenObjects compares the slices that are made of what people wrote with what they should be.
func (r *Report) writtenObjects(h *hand, ep *v1.Endpoints) {
	w := h.world
	known := &membership.Overrides{Of: h.amend, Followed: map[netip.Addr]string{}}
	var plan membership.Plan
	mirrored := keptBy(w.Slices, membership.MirrorManagedBy)
	if ep != nil {
		plan, _ = membership.PlanMirror(ep, mirrored, known)
		r.Objects = append(r.Objects, endpointsLine(ep))
	} else {
		plan.Delete = mirrored
	}
	var written []*discovery.EndpointSlice
	for _, s := range w.Slices {
		if membership.WrittenByHand(s) {
			written = append(written, s)
		}
	}
	more := membership.PlanShadows(written, keptBy(w.Slices, membership.ShadowManagedBy),
		&membership.Overrides{Of: h.amend})
	plan.Create, plan.Update, plan.Delete = append(plan.Create, more.Create...), append(plan.Update, more.Update...),
		append(plan.Delete, more.Delete...)
	plan.Update = slices.DeleteFunc(plan.Update, onlyNotes(w.Slices))
	plan.Delete = append(plan.Delete, keptBy(w.Slices, membership.SliceManagedBy)...)
	r.slices(w, plan, "Endpoints")
}

// onlyNotes says whether a slice is planned to be written for nothing but what is remembered in it.
func onlyNotes(have []*discovery.EndpointSlice) func(*discovery.EndpointSlice) bool {
	return func(next *discovery.EndpointSlice) bool {
		i := slices.IndexFunc(have, func(s *discovery.EndpointSlice) bool { return s.Name == next.Name })
		return have[i].Annotations[annotations.Followed] != next.Annotations[annotations.Followed] &&
			difference(spellSlice(have[i]), spellSlice(next)) == ""
	}
}

func (r *Report) nobodyWrote(w *World) {
	name := w.Service.Name
	switch {
	case w.Service.Annotations[annotations.Backends] != "":
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: the names of viaduct.dev/backends stand for no address%s.",
			lastMessage(w.Events, "BackendsNotResolved")))
	case w.Endpoints == nil:
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: the Service has no selector, and nobody has written "+
			"Endpoints named %s.", name))
	default:
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: the Service has no selector, and the Endpoints %s have no "+
			"address that counts.", name))
	}
}

// lastMessage is what the latest event of a reason says, in brackets.
func lastMessage(events []*v1.Event, reason string) string {
	var last *v1.Event
	for _, e := range events {
		if e.Reason == reason && (last == nil || cmp.Compare(e.LastTimestamp.UnixNano(), last.LastTimestamp.UnixNano()) > 0) {
			last = e
		}
	}
	if last == nil {
		return ""
	}
	return " (" + last.Message + ")"
}
