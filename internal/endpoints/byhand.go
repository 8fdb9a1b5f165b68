package endpoints

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/annotations"
	"viaduct/internal/healthcheck"
	"viaduct/internal/membership"
)

// hand is what people gave a Service without a selector: the addresses they wrote, the names, and how these are
// checked.
type hand struct {
	key      types.NamespacedName
	svc      *v1.Service
	ep       *v1.Endpoints // nil: none that counts
	settings annotations.Settings
	ofEp     annotations.Settings // those of the Service and of its Endpoints together
	written  []*discovery.EndpointSlice
	members  []membership.Member // that names stand for

	pods       membership.Pods
	remembered map[netip.Addr]string // the Pod for which an address was written, from earlier
	followed   map[netip.Addr]string // the same, as far as it holds now

	states map[netip.Addr]bool // whether it answered, by the slices
	found  map[netip.Addr]membership.Health
	stand  map[netip.Addr]membership.Standing
}

// planByHand plans the slices of a Service that people keep.
func (c *Controller) planByHand(key types.NamespacedName, svc *v1.Service, ep *v1.Endpoints, t *target) {
	shadows := c.watch.slicesOf(key, membership.ShadowManagedBy)
	named := c.watch.slicesOf(key, membership.NamesManagedBy)
	if !membership.Mirrored(ep, svc) {
		ep = nil
	}
	if svc == nil {
		c.forgetHand(key)
		t.mirror.Delete = slices.Concat(t.mirrored, shadows, named)
		return
	}
	h := c.readHand(key, svc, ep, slices.Concat(t.mirrored, shadows, named))
	c.check(h)
	if ep == nil {
		t.mirror.Delete = t.mirrored
	} else {
		t.mirrors = true
		t.mirror, t.unmirrored = membership.PlanMirror(ep, t.mirrored, &membership.Overrides{Of: h.amend,
			Followed: h.followed})
	}
	t.others = append(t.others, membership.PlanShadows(h.written, shadows, &membership.Overrides{Of: h.amendChecked}))
	if len(h.settings.Backends) > 0 {
		t.others = append(t.others, membership.PlanNamed(svc, membership.Checked(h.members, h.stand), named))
	} else {
		t.others = append(t.others, membership.Plan{Delete: named})
	}
}

// forgetHand says that nothing is to be asked for a Service any more.
func (c *Controller) forgetHand(key types.NamespacedName) {
	c.checks.SetTargets(key, nil)
	c.names.SetNames(key, nil)
	c.notices.forget(key)
}

func (c *Controller) readHand(key types.NamespacedName, svc *v1.Service, ep *v1.Endpoints,
	have []*discovery.EndpointSlice) *hand {
	h := &hand{
		key: key, svc: svc, ep: ep, states: map[netip.Addr]bool{}, found: map[netip.Addr]membership.Health{},
		remembered: membership.Remembered(have), followed: map[netip.Addr]string{},
		pods: membership.Pods{Named: func(name string) *v1.Pod { return c.watch.pod(key.Namespace, name) },
			At: c.watch.podsAt},
	}
	for _, s := range have {
		maps.Copy(h.states, membership.KnownStates(s))
	}
	settings, errs := annotations.OfService(svc)
	c.tellRefused(key, svc, errs)
	h.settings, h.ofEp = settings, settings
	if ep != nil {
		ofEp, errs := annotations.OfEndpoints(ep)
		c.tellRefused(key, ep, errs)
		h.ofEp = settings.Or(ofEp)
		c.tellForeign(key, ep)
	}
	h.written = c.watch.writtenSlices(key)
	h.members = c.resolve(h)
	return h
}

// check has the addresses asked that are to be, and judges them by what is known.
func (c *Controller) check(h *hand) {
	targets := map[healthcheck.Target]bool{}
	if h.ep != nil && h.ofEp.Check != nil {
		for _, m := range membership.OfEndpoints(h.ep.Subsets) {
			m, _ = h.follow(m)
			c.want(targets, h, m, h.ofEp.Check)
		}
	}
	refuse := h.ofEp.AllDown
	for _, s := range h.written {
		own, errs := annotations.OfSlice(s)
		c.tellRefused(h.key, s, errs)
		w := h.settings.Or(own)
		refuse = cmp.Or(refuse, w.AllDown)
		for _, m := range membership.OfSlice(s) {
			c.want(targets, h, m, w.Check)
		}
	}
	for _, m := range h.members {
		c.want(targets, h, m, h.settings.Check)
	}
	c.checks.SetTargets(h.key, targets)
	for t := range targets {
		addr := t.Addr.Addr()
		status, ok := c.checks.Status(t)
		_, before := c.before(h, addr)
		switch was := h.found[addr]; {
		case ok && !status.Up || was == membership.Down:
			h.found[addr] = membership.Down
		case status.Known || before: // else nothing is known yet, and it is as it was written
			h.found[addr] = membership.Up
		}
	}
	var allDown []v1.IPFamily
	h.stand, allDown = membership.Stand(h.found, refuse == annotations.Refuse)
	c.tellAllDown(h, allDown, refuse == annotations.Refuse)
}

// want adds what is to be asked of m. An address whose author wants no connections to it is not asked; one of which no
// port can be asked counts as answering.
func (c *Controller) want(targets map[healthcheck.Target]bool, h *hand, m membership.Member, check *annotations.Check) {
	if !m.Ready {
		return
	}
	if _, known := h.found[m.Addr]; !known {
		h.found[m.Addr] = membership.Unchecked
	}
	if check == nil {
		return
	}
	for _, port := range askedPorts(m.Ports, check) {
		up, known := c.before(h, m.Addr)
		targets[healthcheck.Target{Addr: netip.AddrPortFrom(m.Addr, port), Check: portless(*check)}] = !known || up
	}
}

// before is what was known of an address before it is asked: by the Service's own slices, as when its check is another
// now, or from the controller that worked before.
func (c *Controller) before(h *hand, addr netip.Addr) (up, known bool) {
	if up, known := h.states[addr]; known {
		return up, true
	}
	if up, known := c.inherited.Load(addr); known {
		return up.(bool), true
	}
	return false, false
}

// portless is check without its port, which stands in the Target: two that mean the same are to be one.
func portless(check annotations.Check) annotations.Check {
	check.Port = 0
	return check
}

// askedPorts are those that check asks: the one that it names, or each of a protocol that it can speak.
func askedPorts(ports []membership.Port, check *annotations.Check) []uint16 {
	if check.Port != 0 {
		return []uint16{check.Port}
	}
	speaks := v1.ProtocolTCP
	if check.Kind == annotations.DNS {
		speaks = v1.ProtocolUDP
	}
	var out []uint16
	for _, p := range ports {
		if p.Protocol == speaks {
			out = append(out, uint16(p.Number))
		}
	}
	return out
}

// amend says what has become of an address of the Endpoints: it may have followed its Pod, and it may have been
// checked.
func (h *hand) amend(m membership.Member) (membership.Member, bool) {
	m, moved := h.follow(m)
	m, judged := membership.Judged(m, h.stand)
	return m, moved || judged
}

// amendChecked is amend for what does not follow.
func (h *hand) amendChecked(m membership.Member) (membership.Member, bool) {
	return membership.Judged(m, h.stand)
}

// follow takes m to where the Pod is that it was written for, if that is asked for.
func (h *hand) follow(m membership.Member) (membership.Member, bool) {
	if !h.ofEp.Follow {
		return m, false
	}
	name := membership.PodOf(m, h.key.Namespace, h.pods, h.remembered)
	if name == "" {
		return m, false
	}
	if m.Target.Kind != "Pod" {
		h.followed[m.Addr] = name
	}
	return membership.FollowPod(m, name, h.pods)
}
