package endpoints

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/membership"
	"viaduct/internal/resolver"
)

// resolve has the names resolved that h asks for, and gives what they stand for now.
func (c *Controller) resolve(h *hand) []membership.Member {
	var wanted []resolver.Name
	var addrs []membership.Named
	var problems []string
	for _, b := range h.settings.Backends {
		if addr, ok := b.Addr(); ok {
			addrs = append(addrs, membership.Named{Addr: addr, Port: b.Port})
			continue
		}
		wanted = append(wanted, resolver.Name{Host: b.Host, Port: b.Port, SRV: b.SRV})
	}
	c.names.SetNames(h.key, wanted)
	for _, n := range wanted {
		answer, asked := c.names.Answer(n)
		if asked {
			problems = append(problems, problemsOf(n, answer)...)
		}
		for _, at := range answer.Addrs {
			addrs = append(addrs, membership.Named{Addr: at.Addr(), Port: at.Port()})
		}
	}
	fit := addrs[:0]
	for _, a := range addrs {
		if why := c.unfit(h.svc, a.Addr); why != "" {
			problems = append(problems, fmt.Sprintf("%s is not used: %s", a.Addr, why))
			continue
		}
		fit = append(fit, a)
	}
	c.tellNames(h, problems)
	return membership.OfNames(h.svc, fit)
}

// unfit says why an address that a name stands for is not used, "" if it is. Who may write a Service may not write
// Endpoints, as a rule: by a name they are not to reach what they could not write there (CVE-2021-25740).
func (c *Controller) unfit(svc *v1.Service, addr netip.Addr) string {
	if rule := membership.Unfit(svc, addr); rule != "" {
		return "it " + rule
	}
	return c.watch.foreign(svc.Namespace, addr)
}

// problemsOf says what of an answer is not as it was asked for.
func problemsOf(n resolver.Name, a resolver.Answer) (list []string) {
	if a.Err != "" {
		kept := "it has no address yet"
		if len(a.Addrs) > 0 {
			kept = fmt.Sprintf("the last answer is kept, %d addresses", len(a.Addrs))
		}
		list = append(list, fmt.Sprintf("%s: %s; %s", n.Host, a.Err, kept))
	}
	if a.Dropped > 0 {
		list = append(list, fmt.Sprintf("%s: %d addresses are too many and not used", n.Host, a.Dropped))
	}
	return list
}

// tellNames tells when names are not resolved as they should be, and when they are again.
func (c *Controller) tellNames(h *hand, problems []string) {
	text := strings.Join(problems[:min(len(problems), 5)], "; ")
	if more := len(problems) - 5; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	switch before, news := c.notices.news(h.key, eventNames, text); {
	case !news:
	case text != "":
		c.log.Warn("the backends of a service are not resolved as they should be", "service", h.key, "problem", text)
		c.recorder.Event(h.svc, v1.EventTypeWarning, eventNames, text)
	case before != "":
		c.recorder.Event(h.svc, v1.EventTypeNormal, eventNamesAgain, "All names of viaduct.dev/backends are resolved again")
	}
}

// resolved is told that the names of a Service stand for something else now.
func (c *Controller) resolved(key types.NamespacedName) { c.changed(key, time.Time{}) }
