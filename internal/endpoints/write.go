package endpoints

import (
	"context"
	"errors"
	"sync"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"viaduct/internal/membership"
)

const (
	kindEndpoints = "Endpoints"
	kindSlice     = "EndpointSlice"
)

// apply writes the differences. Endpoints and slices are written concurrently, so that neither waits for the other.
func (c *Controller) apply(ctx context.Context, key types.NamespacedName, in membership.Inputs,
	d membership.Decision, t *turn) error {
	var endpointsErr, slicesErr error
	var both sync.WaitGroup
	if d.Endpoints != in.Endpoints {
		both.Go(func() { endpointsErr = c.writeEndpoints(ctx, key, in.Endpoints, d.Endpoints, t) })
	}
	both.Go(func() {
		for _, plan := range d.Slices {
			slicesErr = errors.Join(slicesErr, c.writeSlices(ctx, key, plan.Plan, t))
		}
	})
	both.Wait()
	t.recordWrites(in, d, endpointsErr, slicesErr)
	return errors.Join(endpointsErr, slicesErr)
}

// recordWrites records an event for each failed write that an immediate retry will not fix, and events for effects of
// the writes on the Service.
func (t *turn) recordWrites(in membership.Inputs, d membership.Decision, endpointsErr, slicesErr error) {
	if ep := d.Endpoints; ep != nil && worthTelling(endpointsErr) {
		reason := eventNotUpdated
		if in.Endpoints == nil {
			reason = eventNotCreated
		}
		t.recorder.Eventf(ep, v1.EventTypeWarning, reason, "Writing the endpoints %s/%s: %v", ep.Namespace, ep.Name,
			endpointsErr)
	}
	for _, h := range d.Hints {
		t.recordHints(in.Service, h)
	}
	// Recorded only with a write, not at every sync.
	if plan := d.Plan(membership.MirrorManagedBy); d.Unmirrored > 0 && plan != nil && !plan.Empty() {
		t.recorder.Eventf(in.Endpoints, v1.EventTypeWarning, eventUnmirrored, "%d addresses get no connections: a subset "+
			"has more than %d, or they are no IP addresses", d.Unmirrored, membership.MaxMirrored)
	}
	if svc := in.Service; svc != nil && worthTelling(slicesErr) {
		t.recorder.Eventf(svc, v1.EventTypeWarning, eventSlicesFailed, "Writing the endpoint slices of %s/%s: %v",
			svc.Namespace, svc.Name, slicesErr)
	}
}

func (t *turn) recordHints(svc *v1.Service, h membership.HintsChange) {
	if h.Enabled {
		t.recorder.Eventf(svc, v1.EventTypeNormal, eventHints, "Each zone is hinted its share of the endpoints, address "+
			"type %s", h.Type)
		return
	}
	t.recorder.Eventf(svc, v1.EventTypeWarning, eventNoHints, "No hints: %s, address type %s", h.Why, h.Type)
}

func worthTelling(err error) bool {
	return err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !errors.Is(err, context.Canceled)
}

func (c *Controller) writeEndpoints(ctx context.Context, key types.NamespacedName, have, want *v1.Endpoints,
	t *turn) error {
	api := c.client.CoreV1().Endpoints(key.Namespace)
	what := object{kindEndpoints, key.Name}
	switch {
	case want == nil:
		return c.recordApplied(t, key, what, have, nil, api.Delete(ctx, have.Name, deleteExactly(have)))
	case have == nil:
		made, err := api.Create(ctx, want, metav1.CreateOptions{})
		return c.recordApplied(t, key, what, nil, made, err)
	}
	made, err := api.Update(ctx, want, metav1.UpdateOptions{})
	return c.recordApplied(t, key, what, have, made, err)
}

// deleteExactly deletes an object only in the version that was seen. A later write of another client must not be
// deleted.
func deleteExactly(obj metav1.Object) metav1.DeleteOptions {
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
}

// recordApplied records a successful write from one state to another (nil: the object does not exist). It ignores the
// error of a write that is no longer needed.
func (c *Controller) recordApplied(t *turn, key types.NamespacedName, what object, from, to metav1.Object,
	err error) error {
	if isNamespaceEnding(err) || to == nil && apierrors.IsNotFound(err) { // a deleted object needs no delete
		return nil
	}
	if err != nil {
		return err
	}
	if was, is := versionOf(from), versionOf(to); is != was { // a write that changes nothing causes no event
		c.expected.wrote(key, what, was, is)
		t.initial.wrote()
		c.metrics.wrote(what.kind, from, to)
	}
	return nil
}

func versionOf(obj metav1.Object) string {
	if obj == nil {
		return ""
	}
	return obj.GetResourceVersion()
}

// writeSlices creates first and deletes last, so that a reader never sees too few addresses.
func (c *Controller) writeSlices(ctx context.Context, key types.NamespacedName, plan membership.Plan,
	t *turn) error {
	api := c.client.DiscoveryV1().EndpointSlices(key.Namespace)
	for _, s := range plan.Create {
		made, err := api.Create(ctx, s, metav1.CreateOptions{})
		if err := c.recordApplied(t, key, object{kindSlice, made.GetName()}, nil, made, err); err != nil {
			return err
		}
	}
	for _, s := range plan.Update {
		made, err := api.Update(ctx, s, metav1.UpdateOptions{})
		if err := c.recordApplied(t, key, object{kindSlice, s.Name}, s, made, err); err != nil {
			return err
		}
	}
	for _, s := range plan.Delete {
		err := api.Delete(ctx, s.Name, deleteExactly(s))
		if err := c.recordApplied(t, key, object{kindSlice, s.Name}, s, nil, err); err != nil {
			return err
		}
	}
	return nil
}
