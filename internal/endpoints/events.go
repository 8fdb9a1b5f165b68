package endpoints

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/annotations"
	"viaduct/internal/healthcheck"
	"viaduct/internal/membership"
)

// Reasons of the events for things that happen once. The reasons for problems that last are in package membership.
const (
	eventDown         = "EndpointDown"
	eventUp           = "EndpointUp"
	eventNotAllDown   = "EndpointsAnswer"
	eventPodGone      = "EndpointPodGone"
	eventFollowed     = "EndpointFollowed"
	eventResolved     = "BackendsResolved"
	eventUnmirrored   = "TooManyAddressesToMirror"
	eventHints        = "TopologyAwareHintsEnabled"
	eventNoHints      = "TopologyAwareHintsDisabled"
	eventNotUpdated   = "FailedToUpdateEndpoint"
	eventNotCreated   = "FailedToCreateEndpoint"
	eventSlicesFailed = "FailedToUpdateEndpointSlices"
)

// eventDedup remembers the last recorded events of each Service, so that a problem that lasts is recorded once.
type eventDedup struct {
	mu       sync.Mutex // protects recorded
	recorded map[types.NamespacedName]map[eventKey]string
}

// eventKey is the subject of an event.
type eventKey struct {
	reason membership.EventReason
	about  membership.ObjectKey
}

func newEventDedup() *eventDedup {
	return &eventDedup{recorded: map[types.NamespacedName]map[eventKey]string{}}
}

// changed says whether sentence differs from the last recorded one, and stores it.
func (d *eventDedup) changed(key types.NamespacedName, what eventKey, sentence string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last, there := d.recorded[key][what]; there && last == sentence {
		return false
	}
	if d.recorded[key] == nil {
		d.recorded[key] = map[eventKey]string{}
	}
	d.recorded[key][what] = sentence
	return true
}

// ended removes the stored events of a Decision that are not in now, and returns their keys. ConditionAvailable is left
// alone, because it is never an event of a Decision.
func (d *eventDedup) ended(key types.NamespacedName, now map[eventKey]bool) (over []eventKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for what := range d.recorded[key] {
		if !now[what] && what.reason != ConditionAvailable {
			over = append(over, what)
			delete(d.recorded[key], what)
		}
	}
	if len(d.recorded[key]) == 0 {
		delete(d.recorded, key)
	}
	return over
}

// recordEvents records the events of a Decision once each, and records the end of some of them.
func (c *Controller) recordEvents(key types.NamespacedName, in membership.Inputs, d membership.Decision, t *turn) {
	now := map[eventKey]bool{}
	for _, e := range d.Events {
		what := eventKey{e.Reason(), e.About()}
		now[what] = true
		if t.dedup.changed(key, what, e.Sentence()) {
			c.log.Warn("a service is not as it was asked for", "service", key, "reason", e.Reason(), "problem", e.Sentence())
			if obj := objectOf(in, e.About()); obj != nil {
				t.recorder.Event(obj, v1.EventTypeWarning, string(e.Reason()), e.Sentence())
			}
		}
	}
	for _, what := range t.dedup.ended(key, now) {
		if in.Service == nil {
			continue
		}
		switch what.reason { // others: no event reports their end
		case membership.EventAllEndpointsDown:
			t.recorder.Event(in.Service, v1.EventTypeNormal, eventNotAllDown, "An address answers its health check again")
		case membership.EventBackendsNotResolved:
			t.recorder.Event(in.Service, v1.EventTypeNormal, eventResolved, "All names of "+annotations.Backends+
				" are resolved again")
		}
	}
}

// objectOf finds an object among the inputs; nil if it is not there.
func objectOf(in membership.Inputs, key membership.ObjectKey) runtime.Object {
	switch {
	case key.Kind == membership.KindService && in.Service != nil:
		return in.Service
	case key.Kind == membership.KindEndpoints && in.Endpoints != nil:
		return in.Endpoints
	}
	for _, s := range in.Slices {
		if key.Kind == membership.KindEndpointSlice && s.Name == key.Name {
			return s
		}
	}
	for _, pod := range in.Pods {
		if key.Kind == membership.KindPod && pod.Name == key.Name {
			return pod
		}
	}
	return nil
}

// checked is called when the state of an address has changed.
func (c *Controller) checked(owners []types.NamespacedName, target healthcheck.Target, status healthcheck.Status) {
	t := c.working()
	if t == nil {
		return
	}
	t.inherited.Delete(target.Addr.Addr()) // the new state replaces the inherited one
	for _, key := range owners {
		c.changed(key, status.Since)
		if status.Since.IsZero() {
			continue // the first check confirmed the state from before
		}
		for _, obj := range c.objectsOf(key) {
			if status.Up {
				t.recorder.Eventf(obj, v1.EventTypeNormal, eventUp, "%s answers its health check (%s) again", target.Addr,
					target.Check)
			} else {
				t.recorder.Eventf(obj, v1.EventTypeWarning, eventDown, "%s does not answer its health check (%s): %s",
					target.Addr, target.Check, status.Cause)
			}
		}
	}
}

// objectsOf returns the objects on which a user may look for events about an address: the Service, and hand-written
// Endpoints.
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

// podLeft is called when a Pod no longer has addr, which is written into ep. after is the Pod's new state; nil: the Pod
// is gone.
func (c *Controller) podLeft(ep *v1.Endpoints, addr netip.Addr, before, after *v1.Pod) {
	t := c.working()
	if t == nil {
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
		t.recorder.Eventf(ep, v1.EventTypeNormal, eventFollowed,
			"Pod %s, which had the address %s, %s: connections follow it", before.Name, addr, where)
	case follows:
		t.recorder.Eventf(ep, v1.EventTypeWarning, eventPodGone, "Pod %s, which had the address %s, %s: connections "+
			"follow the next Pod of that name", before.Name, addr, where)
	default:
		t.recorder.Eventf(ep, v1.EventTypeWarning, eventPodGone, "Pod %s/%s, which had the address %s, %s; "+
			"viaduct.dev/follow=true would have connections follow a Pod of this namespace",
			before.Namespace, before.Name, addr, where)
	}
}

// follows says whether connections should follow the Pods for which the addresses of ep were written.
func (c *Controller) follows(ep *v1.Endpoints) bool {
	ofEp, _ := annotations.OfEndpoints(ep)
	svc, err := c.watch.services.Services(ep.Namespace).Get(ep.Name)
	if err != nil {
		return false
	}
	settings, _ := annotations.OfService(svc)
	return settings.Or(ofEp).Follow
}

// resolved is called when the names of a Service resolve to other addresses.
func (c *Controller) resolved(key types.NamespacedName) { c.changed(key, time.Time{}) }
