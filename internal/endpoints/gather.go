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

// gather collects the inputs of Decide for one Service. svc and ep are nil if they do not exist. ok is false while the
// index of Pods does not know the selector of svc yet; the caller tries again. t is nil while the controller does not
// work: then the state stored in the slices replaces the results of checks and name resolution.
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

// finding returns the health checker's result for a target; false while there is no result.
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

// wasFound returns the health of an address that was stored in the slices when this controller began to work.
func (t *turn) wasFound(addr netip.Addr) membership.Health {
	if state, known := t.inherited.Load(addr); known {
		return state.(membership.Health)
	}
	return membership.Unchecked
}

// answer returns the addresses of a backend; false before the first answer.
func (t *turn) answer(b annotations.Backend) (membership.NameAnswer, bool) {
	answer, ok := t.names.Answer(resolver.Name(b))
	return membership.NameAnswer{Addrs: answer.Addrs, Dropped: answer.Dropped, Err: answer.Err}, ok
}

// request starts the checks and the name resolution of a decision, and stops all others of that Service.
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

// reasonIn returns the Reason of an endpoint from the decision for its Service. The endpoint is in a slice that is not
// made from Pods.
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
