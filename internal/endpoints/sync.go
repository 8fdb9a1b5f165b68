package endpoints

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"viaduct/internal/membership"
)

// target is all that is to be true of one Service: its Endpoints, and the slices that are kept and mirrored.
type target struct {
	have, want *v1.Endpoints // want nil: there is to be none; the same as have: it is to stay as it is
	slices     membership.Plan
	mirror     membership.Plan
	others     []membership.Plan // of slices that upstream has nothing like
	hints      []membership.HintsChange
	unmirrored int // addresses that a person wrote and that are past the limit of a mirror

	// whether slices are kept for Pods, and whether for Endpoints that a person wrote
	selects, mirrors bool
	kept, mirrored   []*discovery.EndpointSlice // those that there are
}

// sync makes the objects of one Service what they should be.
func (c *Controller) sync(ctx context.Context, key types.NamespacedName) error {
	began := time.Now()
	if c.expected.stale(key, func(what object) string { return c.cachedVersion(key, what) }) {
		return errStale
	}
	svc, err := c.watch.services.Services(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	have, err := c.watch.endpoints.Endpoints(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	batch := c.paces.take(key) // before the Pods are read: what changes from here on is for the next time
	if batch.changes > 0 {
		c.metrics.merged.Observe(float64(batch.changes))
	}
	t, ok := c.plan(key, svc, have)
	if !ok {
		c.paces.failed(key, batch)
		return errStale
	}
	t = c.chosen(t)
	t.stamp(batch.trigger)
	if err := c.apply(ctx, key, svc, t); err != nil {
		c.paces.failed(key, batch)
		return err
	}
	c.metrics.synced(svc, &t, time.Since(began))
	if svc == nil {
		c.paces.forget(key)
	}
	return c.tellOutage(ctx, key, svc)
}

// stamp says on everything that is to be written when the first of what it tells happened. A mirror does not say it.
func (t *target) stamp(trigger time.Time) {
	if t.want != t.have && t.want != nil {
		membership.Stamp(t.want, trigger)
	}
	for _, s := range slices.Concat(t.slices.Create, t.slices.Update) {
		membership.Stamp(s, trigger)
	}
}

// chosen leaves out what is not this controller's to keep.
func (c *Controller) chosen(t target) target {
	if !c.runs[EndpointsController] {
		t.want = t.have
	}
	if !c.runs[SliceController] {
		t.slices, t.hints, t.selects = membership.Plan{}, nil, false
	}
	if !c.runs[MirrorController] {
		t.mirror, t.others, t.unmirrored, t.mirrors = membership.Plan{}, nil, 0, false
	}
	return t
}

// plan decides nothing that package membership has not decided. svc and have are nil if they are not there. It is false
// if what is known of the Service and of its Pods is not of one time.
func (c *Controller) plan(key types.NamespacedName, svc *v1.Service, have *v1.Endpoints) (target, bool) {
	t := target{have: have, want: have, kept: c.watch.slicesOf(key, membership.SliceManagedBy),
		mirrored: c.watch.slicesOf(key, membership.MirrorManagedBy)}
	if svc != nil && membership.HasSelector(svc) && svc.Spec.Type != v1.ServiceTypeExternalName {
		pods, ok := c.watch.podsOf(svc)
		if !ok {
			return t, false
		}
		var members []membership.Member
		members, t.hints = c.watch.members(svc, pods, t.kept)
		t.want = desiredEndpoints(svc, members, have)
		t.selects, t.slices = true, membership.PlanSlices(svc, members, t.kept)
		t.mirror.Delete = slices.Concat(t.mirrored, c.watch.slicesOf(key, membership.ShadowManagedBy),
			c.watch.slicesOf(key, membership.NamesManagedBy))
		c.forgetHand(key)
		if svc.DeletionTimestamp != nil { // nothing new is to hang on what is ending
			t.slices.Create = nil
		}
		return t, true
	}
	// Without a selector, what was made for one must not stay behind: it would go on sending connections to whoever was
	// there.
	if have != nil && membership.ManagesEndpoints(have) {
		t.want = nil
	}
	t.slices.Delete = t.kept
	if c.runs[MirrorController] {
		c.planByHand(key, svc, have, &t)
	}
	return t, true
}

// desiredEndpoints is have itself if it is right.
func desiredEndpoints(svc *v1.Service, members []membership.Member, have *v1.Endpoints) *v1.Endpoints {
	subsets, truncated := membership.Subsets(svc, members)
	want := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name}}
	if have != nil {
		have.ObjectMeta.DeepCopyInto(&want.ObjectMeta)
	}
	want.Subsets = subsets
	want.Labels = membership.EndpointsLabels(svc)
	want.Annotations = membership.EndpointsAnnotations(want.Annotations, truncated)
	if have != nil && maps.Equal(have.Labels, want.Labels) && maps.Equal(have.Annotations, want.Annotations) &&
		membership.SameSubsets(have.Subsets, want.Subsets) {
		return have
	}
	return want
}

// cachedVersion is the resourceVersion that the cache has of an object, "" if it has none.
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

// isNamespaceEnding says that a create was refused because its namespace is being deleted: then there is nothing to
// retry.
func isNamespaceEnding(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause)
}
