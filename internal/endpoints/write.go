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

// apply writes what differs. Endpoints and slices are written side by side: neither reader is to wait for the other's.
func (c *Controller) apply(ctx context.Context, key types.NamespacedName, svc *v1.Service, t target) error {
	var endpointsErr, slicesErr error
	var both sync.WaitGroup
	if t.want != t.have {
		both.Go(func() { endpointsErr = c.writeEndpoints(ctx, key, t.have, t.want) })
	}
	both.Go(func() {
		slicesErr = errors.Join(c.writeSlices(ctx, key, t.slices), c.writeSlices(ctx, key, t.mirror))
		for _, plan := range t.others {
			slicesErr = errors.Join(slicesErr, c.writeSlices(ctx, key, plan))
		}
	})
	both.Wait()
	c.complain(svc, t, endpointsErr, slicesErr)
	return errors.Join(endpointsErr, slicesErr)
}

// complain tells the user, by an event, of what is not as it was asked for: a write that failed for a reason that a
// retry will not mend at once, and addresses that are left out.
func (c *Controller) complain(svc *v1.Service, t target, endpointsErr, slicesErr error) {
	if t.want != nil && worthTelling(endpointsErr) {
		reason := "FailedToUpdateEndpoint"
		if t.have == nil {
			reason = "FailedToCreateEndpoint"
		}
		c.recorder.Eventf(t.want, v1.EventTypeWarning, reason, "Writing the endpoints %s/%s: %v", t.want.Namespace,
			t.want.Name, endpointsErr)
	}
	for _, h := range t.hints {
		c.tellHints(svc, h)
	}
	if t.unmirrored > 0 && !t.mirror.Empty() { // told when it is written, not each time it is looked at
		c.recorder.Eventf(t.have, v1.EventTypeWarning, "TooManyAddressesToMirror",
			"%d addresses are more than %d of one subset, or no IP addresses: they get no connections", t.unmirrored,
			membership.MaxMirrored)
	}
	if svc != nil && worthTelling(slicesErr) {
		c.recorder.Eventf(svc, v1.EventTypeWarning, "FailedToUpdateEndpointSlices",
			"Writing the endpoint slices of %s/%s: %v", svc.Namespace, svc.Name, slicesErr)
	}
}

func (c *Controller) tellHints(svc *v1.Service, h membership.HintsChange) {
	if h.Enabled {
		c.recorder.Eventf(svc, v1.EventTypeNormal, "TopologyAwareHintsEnabled", "Each zone is hinted its share of the "+
			"endpoints, address type %s", h.Type)
		return
	}
	c.recorder.Eventf(svc, v1.EventTypeWarning, "TopologyAwareHintsDisabled", "No hints: %s, address type %s", h.Why,
		h.Type)
}

func worthTelling(err error) bool {
	return err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !errors.Is(err, context.Canceled)
}

func (c *Controller) writeEndpoints(ctx context.Context, key types.NamespacedName, have, want *v1.Endpoints) error {
	api := c.client.CoreV1().Endpoints(key.Namespace)
	what := object{kindEndpoints, key.Name}
	switch {
	case want == nil:
		return c.settled(key, what, have, nil, api.Delete(ctx, have.Name, deleteExactly(have)))
	case have == nil:
		made, err := api.Create(ctx, want, metav1.CreateOptions{})
		return c.settled(key, what, nil, made, err)
	}
	made, err := api.Update(ctx, want, metav1.UpdateOptions{})
	return c.settled(key, what, have, made, err)
}

// deleteExactly deletes the state that was seen and no other: what somebody wrote in between is not ours to delete.
func deleteExactly(obj metav1.Object) metav1.DeleteOptions {
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
}

// settled records a write that went through, from one state to another (nil: not there), and forgives one that is no
// longer needed.
func (c *Controller) settled(key types.NamespacedName, what object, from, to metav1.Object, err error) error {
	if isNamespaceEnding(err) || to == nil && apierrors.IsNotFound(err) { // gone is what it was to be
		return nil
	}
	if err != nil {
		return err
	}
	if was, is := versionOf(from), versionOf(to); is != was { // a write that changed nothing brings no event either
		c.expected.wrote(key, what, was, is)
		c.looks.wrote()
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

// writeSlices creates first and deletes last, so that a reader never sees fewer addresses than there are.
func (c *Controller) writeSlices(ctx context.Context, key types.NamespacedName, plan membership.Plan) error {
	api := c.client.DiscoveryV1().EndpointSlices(key.Namespace)
	for _, s := range plan.Create {
		made, err := api.Create(ctx, s, metav1.CreateOptions{})
		if err := c.settled(key, object{kindSlice, made.GetName()}, nil, made, err); err != nil {
			return err
		}
	}
	for _, s := range plan.Update {
		made, err := api.Update(ctx, s, metav1.UpdateOptions{})
		if err := c.settled(key, object{kindSlice, s.Name}, s, made, err); err != nil {
			return err
		}
	}
	for _, s := range plan.Delete {
		err := api.Delete(ctx, s.Name, deleteExactly(s))
		if err := c.settled(key, object{kindSlice, s.Name}, s, nil, err); err != nil {
			return err
		}
	}
	return nil
}
