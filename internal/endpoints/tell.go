package endpoints

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"viaduct/internal/healthcheck"
	"viaduct/internal/membership"
)

// Reasons of the events about what people wrote.
const (
	eventDown       = "EndpointDown"
	eventUp         = "EndpointUp"
	eventAllDown    = "AllEndpointsDown"
	eventNotAllDown = "EndpointsAnswer"
	eventRefused    = "InvalidAnnotation"
	eventForeign    = "ForeignPodAddress"
	eventPodGone    = "EndpointPodGone"
	eventFollowed   = "EndpointFollowed"
	eventNames      = "BackendsNotResolved"
	eventNamesAgain = "BackendsResolved"
)

// notices remember what was told of a Service last, so that what goes on is told once.
type notices struct {
	mu   sync.Mutex // protects told
	told map[types.NamespacedName]map[string]string
}

func newNotices() *notices { return &notices{told: map[types.NamespacedName]map[string]string{}} }

// news says whether text is not what was told last about what; "" is that there is nothing to tell. before is what was
// told last.
func (n *notices) news(key types.NamespacedName, what, text string) (before string, news bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before = n.told[key][what]
	if before == text {
		return before, false
	}
	if n.told[key] == nil {
		n.told[key] = map[string]string{}
	}
	n.told[key][what] = text
	return before, true
}

func (n *notices) forget(key types.NamespacedName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.told, key)
}

// tellRefused tells of annotations that make no sense. An API server of Viaduct's own refuses them; any other stores
// them.
func (c *Controller) tellRefused(key types.NamespacedName, obj interface {
	runtime.Object
	metav1.Object
}, errs field.ErrorList) {
	text := ""
	if len(errs) > 0 {
		text = fmt.Sprintf("%v; it counts as not written", errs.ToAggregate())
	}
	if _, news := c.notices.news(key, fmt.Sprintf("%s of %T %s", eventRefused, obj, obj.GetName()), text); news &&
		text != "" {
		c.recorder.Event(obj, v1.EventTypeWarning, eventRefused, text)
	}
}

// tellForeign tells of addresses that belong to Pods of other namespaces: connections would reach what nobody there
// meant to open to this one (CVE-2021-25740).
func (c *Controller) tellForeign(key types.NamespacedName, ep *v1.Endpoints) {
	var foreign []string
	for _, m := range membership.OfEndpoints(ep.Subsets) {
		if pods := c.watch.podsAt(m.Addr); len(pods) > 0 && !ownsOne(pods, key.Namespace) {
			foreign = append(foreign, fmt.Sprintf("%s is that of Pod %s/%s", m.Addr, pods[0].Namespace, pods[0].Name))
		}
	}
	text := strings.Join(foreign, ", ")
	if _, news := c.notices.news(key, eventForeign, text); news && text != "" {
		c.recorder.Eventf(ep, v1.EventTypeWarning, eventForeign, "Addresses of other namespaces: %s (CVE-2021-25740)", text)
	}
}

func ownsOne(pods []*v1.Pod, namespace string) bool {
	for _, pod := range pods {
		if pod.Namespace == namespace {
			return true
		}
	}
	return false
}

// tellAllDown tells when no address of a family answers any more, and what becomes of connections.
func (c *Controller) tellAllDown(h *hand, families []v1.IPFamily, refuse bool) {
	text := ""
	if len(families) > 0 {
		text = fmt.Sprintf("No address of family %v answers its health check", families)
		if refuse {
			text += ": connections are refused (viaduct.dev/when-all-down: refuse)"
		} else {
			text += ": connections are sent to all of them all the same (viaduct.dev/when-all-down: use-all)"
		}
	}
	switch _, news := c.notices.news(h.key, eventAllDown, text); {
	case !news:
	case text != "":
		c.log.Warn("no address answers its health check", "service", h.key, "refused", refuse)
		c.recorder.Event(h.svc, v1.EventTypeWarning, eventAllDown, text)
	default:
		c.recorder.Event(h.svc, v1.EventTypeNormal, eventNotAllDown, "An address answers its health check again")
	}
}

// checked is told that an address is up or down now.
func (c *Controller) checked(owners []types.NamespacedName, t healthcheck.Target, status healthcheck.Status) {
	c.inherited.Delete(t.Addr.Addr()) // what is known now is newer
	for _, key := range owners {
		c.changed(key, status.Since)
		if status.Since.IsZero() {
			continue // it is as it was thought to be
		}
		for _, obj := range c.objectsOf(key) {
			if status.Up {
				c.recorder.Eventf(obj, v1.EventTypeNormal, eventUp, "%s answers its health check (%s) again", t.Addr, t.Check)
			} else {
				c.recorder.Eventf(obj, v1.EventTypeWarning, eventDown, "%s does not answer its health check (%s): %s", t.Addr,
					t.Check, status.Cause)
			}
		}
	}
}

// objectsOf are what a person may look at to learn of an address: the Service, and the Endpoints that they wrote.
func (c *Controller) objectsOf(key types.NamespacedName) (list []runtime.Object) {
	if svc, err := c.watch.services.Services(key.Namespace).Get(key.Name); err == nil {
		list = append(list, svc)
	}
	if ep, err := c.watch.endpoints.Endpoints(key.Namespace).Get(key.Name); err == nil &&
		!membership.ManagesEndpoints(ep) {
		list = append(list, ep)
	}
	return list
}

// podLeft is told that pod no longer has addr, which is written into ep. after is the Pod now; nil: it is gone.
func (c *Controller) podLeft(ep *v1.Endpoints, addr netip.Addr, before, after *v1.Pod) {
	c.mu.Lock()
	working := c.queue != nil
	c.mu.Unlock()
	if !working {
		return
	}
	where := "is gone"
	now := membership.Addresses(after)
	if len(now) > 0 {
		where = fmt.Sprintf("has %v now", now[0])
	}
	follows := c.follows(ep)
	switch {
	case follows && len(now) > 0:
		c.recorder.Eventf(ep, v1.EventTypeNormal, eventFollowed,
			"Pod %s, which had the address %s, %s: connections follow it", before.Name, addr, where)
	case follows:
		c.recorder.Eventf(ep, v1.EventTypeWarning, eventPodGone, "Pod %s, which had the address %s, %s: it is followed "+
			"when there is one of that name again", before.Name, addr, where)
	default:
		c.recorder.Eventf(ep, v1.EventTypeWarning, eventPodGone, "Pod %s/%s, which had the address %s, %s; "+
			"viaduct.dev/follow=true would have connections follow a Pod of this namespace",
			before.Namespace, before.Name, addr, where)
	}
}
