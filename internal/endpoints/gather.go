package endpoints

import (
	"net/netip"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/annotations"
	"viaduct/internal/healthcheck"
	"viaduct/internal/membership"
	"viaduct/internal/resolver"
)

// gather collects what Decide needs for one Service. svc and ep are nil if they are not there. ok is false while the
// index of Pods has not seen the selector that svc has; the caller tries again. t is nil while the controller does not
// work: then what the slices say stands for what checks and names would give.
func (c *Controller) gather(key types.NamespacedName, svc *v1.Service, ep *v1.Endpoints, t *turn) (in membership.Inputs,
	ok bool) {
	in = membership.Inputs{Service: svc, Endpoints: ep, Slices: c.watch.slicesOf(key), Controllers: c.runs}
	if svc != nil && membership.ChoosesPods(svc) {
		in.Pods, ok = c.watch.podsOf(svc)
		return in, ok
	}
	in.Lookups = membership.Lookups{
		Pods: membership.Pods{Named: func(name string) *v1.Pod { return c.watch.pod(key.Namespace, name) },
			At: c.watch.podsAt},
		NodeOf: c.watch.nodeOf,
	}
	if t != nil {
		in.Lookups.Finding, in.Lookups.Inherited, in.Lookups.Answer = t.finding, t.wasFound, t.answer
	}
	return in, true
}

// decide calls Decide with the zones of the nodes.
func (w *watch) decide(in membership.Inputs) membership.Decision {
	w.nodes.RLock()
	defer w.nodes.RUnlock()
	in.Topology = w.topology
	return membership.Decide(in)
}

// finding is what the health checker found of a target; false while no answer has come.
func (t *turn) finding(target membership.HealthTarget) (membership.Finding, bool) {
	status, ok := t.checks.Status(healthcheck.Target(target))
	switch {
	case ok && !status.Up:
		return membership.Finding{State: membership.Down, Since: status.Since, Cause: status.Cause}, true
	case ok && status.Known:
		return membership.Finding{State: membership.Up, Since: status.Since}, true
	}
	return membership.Finding{}, false
}

// wasFound is what the slices said of an address when this controller began to work.
func (t *turn) wasFound(addr netip.Addr) membership.Health {
	if state, known := t.inherited.Load(addr); known {
		return state.(membership.Health)
	}
	return membership.Unchecked
}

// answer is what a backend stands for; false before the first answer.
func (t *turn) answer(b annotations.Backend) (membership.NameAnswer, bool) {
	answer, ok := t.names.Answer(resolver.Name(b))
	return membership.NameAnswer{Addrs: answer.Addrs, Dropped: answer.Dropped, Err: answer.Err}, ok
}

// request has the targets of a decision checked and its names resolved, and nothing else for that Service.
func (t *turn) request(key types.NamespacedName, d membership.Decision) {
	targets := make(map[healthcheck.Target]bool, len(d.Targets))
	for target, up := range d.Targets {
		targets[healthcheck.Target(target)] = up
	}
	t.checks.SetTargets(key, targets)
	names := make([]resolver.Name, 0, len(d.Names))
	for _, b := range d.Names {
		names = append(names, resolver.Name(b))
	}
	t.names.SetNames(key, names)
}

// reasonIn gives the Reason of each endpoint of a slice that is not of Pods, by the decision for its Service.
func reasonIn(d membership.Decision, e *discovery.Endpoint) membership.Reason {
	if len(e.Addresses) == 0 {
		return ""
	}
	addr, err := netip.ParseAddr(e.Addresses[0])
	if err != nil {
		return ""
	}
	for i := range d.Addresses {
		if d.Addresses[i].Addr == addr.Unmap() {
			return d.Addresses[i].Why
		}
	}
	return ""
}
