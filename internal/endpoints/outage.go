package endpoints

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/explain"
	"viaduct/internal/membership"
	"viaduct/internal/routing"
)

// ConditionAvailable is the condition of a Service that says whether the Service has endpoints. It is written at the
// first outage: a Service without outages costs no write.
const ConditionAvailable = "viaduct.dev/EndpointsAvailable"

// outageGrace is how long a Service may have no endpoints before this is reported, because Pods need time to start.
const outageGrace = 5 * time.Second

// Events about outages.
const (
	eventOutage    = "NoEndpoints"
	eventOutageEnd = "EndpointsAvailable"
)

// retell is the minimum time between two messages about an outage if only the message changes, not the reason.
const retell = 15 * time.Second

// longestUnderWay is how long a difference between the caches and the last write may delay the report of an outage.
const longestUnderWay = 30 * time.Second

// underWay says whether the first problem in a report is a write that the caches may not show yet.
func underWay(r explain.Report) bool {
	return len(r.Problems) > 0 && slices.Contains([]string{explain.StageEndpoints, explain.StageSlices},
		r.Problems[0].Stage)
}

// outages remember when a Service lost its last endpoint (since), and when this was last reported (told).
type outages struct {
	mu          sync.Mutex // protects the following
	since, told map[types.NamespacedName]time.Time
}

func newOutages() *outages {
	return &outages{since: map[types.NamespacedName]time.Time{}, told: map[types.NamespacedName]time.Time{}}
}

// mayTell returns how long to wait before a new message about a reported outage.
func (o *outages) mayTell(key types.NamespacedName, now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.told[key].Add(retell).Sub(now)
}

func (o *outages) toldAt(key types.NamespacedName, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told[key] = now
}

// note returns how long a Service has had no endpoints, and whether this is new.
func (o *outages) note(key types.NamespacedName, available bool, now time.Time) (lasts time.Duration, news bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if available {
		delete(o.since, key)
		delete(o.told, key)
		return 0, false
	}
	since, known := o.since[key]
	if !known {
		o.since[key] = now
		return 0, true
	}
	return now.Sub(since), false
}

func (o *outages) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.since)
	clear(o.told)
}

// slicesChanged is called when a slice of a Service changed. If the Service has just lost its last endpoint, it is
// synced after outageGrace. If an outage was reported and the Service has an endpoint again, it is synced at once.
func (c *Controller) slicesChanged(key types.NamespacedName) {
	available := c.watch.anyReady(key)
	if _, news := c.outages.note(key, available, time.Now()); news {
		c.enqueueAfter(key, outageGrace)
	}
	if !available {
		return
	}
	if svc, err := c.watch.services.Services(key.Namespace).Get(key.Name); err == nil &&
		meta.IsStatusConditionFalse(svc.Status.Conditions, ConditionAvailable) {
		c.changed(key, time.Time{})
	}
}

// recordOutage writes into the Service's status, and records as an event, that the Service has had no endpoints for
// outageGrace, and later that it has endpoints again.
func (c *Controller) recordOutage(ctx context.Context, key types.NamespacedName, svc *v1.Service, t *turn) error {
	if svc == nil || svc.Spec.Type == v1.ServiceTypeExternalName || svc.DeletionTimestamp != nil {
		c.outages.note(key, true, time.Now())
		return nil
	}
	available := c.watch.anyReady(key)
	lasts, news := c.outages.note(key, available, time.Now())
	told := meta.FindStatusCondition(svc.Status.Conditions, ConditionAvailable)
	switch {
	case available && (told == nil || told.Status == metav1.ConditionTrue):
		return nil
	case available:
		next := metav1.Condition{Type: ConditionAvailable, Status: metav1.ConditionTrue, Reason: "Available",
			Message: "The Service has endpoints."}
		return c.setCondition(ctx, t, svc, next, v1.EventTypeNormal, eventOutageEnd)
	case lasts < outageGrace:
		if news {
			c.enqueueAfter(key, outageGrace)
		}
		return nil
	}
	report, reason := c.explain(key, svc)
	if underWay(report) && lasts < longestUnderWay {
		c.enqueueAfter(key, time.Second)
		return nil
	}
	next := metav1.Condition{Type: ConditionAvailable, Status: metav1.ConditionFalse, Reason: string(reason),
		Message: report.Verdict}
	if told != nil && told.Status == next.Status && told.Reason == next.Reason {
		if told.Message == next.Message {
			return nil
		}
		// The messages of starting Pods change often.
		if wait := c.outages.mayTell(key, time.Now()); wait > 0 {
			c.enqueueAfter(key, wait)
			return nil
		}
	}
	c.outages.toldAt(key, time.Now())
	return c.setCondition(ctx, t, svc, next, v1.EventTypeWarning, eventOutage)
}

// anyReady says whether any slice of a Service has an endpoint that gets connections. If the Service has ports, the
// endpoint must have a port, too.
func (w *watch) anyReady(key types.NamespacedName) bool {
	svc, err := w.services.Services(key.Namespace).Get(key.Name)
	portless := err == nil && len(svc.Spec.Ports) == 0
	all := slices.DeleteFunc(w.slicesOf(key), func(s *discovery.EndpointSlice) bool {
		return !portless && len(s.Ports) == 0
	})
	return slices.ContainsFunc(routing.Effective(all), func(s *discovery.EndpointSlice) bool {
		return slices.ContainsFunc(s.Endpoints, func(e discovery.Endpoint) bool { return membership.IsReady(&e) })
	})
}

// setCondition writes a condition of a Service, and records an event with the same message.
func (c *Controller) setCondition(ctx context.Context, t *turn, svc *v1.Service, next metav1.Condition, kind,
	event string) error {
	next.LastTransitionTime, next.ObservedGeneration = metav1.Now(), svc.Generation
	if told := meta.FindStatusCondition(svc.Status.Conditions, next.Type); told != nil && told.Status == next.Status {
		next.LastTransitionTime = told.LastTransitionTime
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": svc.UID},
		"status":   map[string]any{"conditions": []metav1.Condition{next}},
	})
	if err != nil {
		return err
	}
	_, err = c.client.CoreV1().Services(svc.Namespace).Patch(ctx, svc.Name, types.StrategicMergePatchType, body,
		metav1.PatchOptions{}, "status")
	switch {
	case apierrors.IsForbidden(err):
		// The event is still recorded.
		c.log.Debug("the condition of a service cannot be written", "service", svc.Namespace+"/"+svc.Name, "err", err)
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err): // the Service is gone, or a new one has its name
		return nil
	case err != nil:
		return err
	}
	if t.dedup.changed(keyOf(svc), eventKey{reason: ConditionAvailable}, next.Message) {
		t.recorder.Event(svc, kind, event, next.Message)
	}
	return nil
}

// enqueueAfter queues a Service for another sync after a while.
func (c *Controller) enqueueAfter(key types.NamespacedName, wait time.Duration) {
	time.AfterFunc(wait, func() { c.changed(key, time.Time{}) })
}
