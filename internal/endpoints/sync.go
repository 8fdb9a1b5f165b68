package endpoints

import (
	"context"
	"errors"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"viaduct/internal/membership"
)

// sync brings the objects of one Service to the desired state: gather, decide, apply.
func (c *Controller) sync(ctx context.Context, key types.NamespacedName, t *turn) error {
	began := time.Now()
	if c.expected.stale(key, func(what object) string { return c.cachedVersion(key, what) }) {
		return errStale
	}
	svc, err := c.watch.services.Services(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	ep, err := c.watch.endpoints.Endpoints(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	batch := c.batcher.take(key) // taken before the Pods are read: a later change is for the next sync
	if batch.changes > 0 {
		c.metrics.merged.Observe(float64(batch.changes))
	}
	in, ok := c.gather(key, svc, ep, t)
	if !ok {
		c.batcher.failed(key, batch)
		return errStale
	}
	d := c.watch.decide(in)
	stamp(in, d, batch.trigger)
	t.request(key, d)
	c.recordEvents(key, in, d, t)
	if err := c.apply(ctx, key, in, d, t); err != nil {
		c.batcher.failed(key, batch)
		return err
	}
	c.metrics.synced(svc, &d, time.Since(began))
	if svc == nil {
		c.batcher.forget(key)
	}
	return c.recordOutage(ctx, key, svc, t)
}

// stamp writes the time of the first change into all objects that are about to be written. Mirrored slices get no time,
// as in upstream.
func stamp(in membership.Inputs, d membership.Decision, trigger time.Time) {
	if d.Endpoints != in.Endpoints && d.Endpoints != nil {
		membership.Stamp(d.Endpoints, trigger)
	}
	if plan := d.Plan(membership.SliceManagedBy); plan != nil {
		for _, s := range slices.Concat(plan.Create, plan.Update) {
			membership.Stamp(s, trigger)
		}
	}
}

// cachedVersion returns the resourceVersion of an object in the cache, "" if the object is not there.
func (c *Controller) cachedVersion(key types.NamespacedName, what object) string {
	if what.kind == kindEndpoints {
		if ep, err := c.watch.endpoints.Endpoints(key.Namespace).Get(what.name); err == nil {
			return ep.ResourceVersion
		}
		return ""
	}
	obj, ok, err := c.watch.slices.GetByKey(key.Namespace + "/" + what.name)
	if err != nil || !ok {
		return ""
	}
	return obj.(metav1.Object).GetResourceVersion()
}

// isNamespaceEnding says that a create was refused because its namespace is being deleted. Such a create is not
// retried.
func isNamespaceEnding(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause)
}
