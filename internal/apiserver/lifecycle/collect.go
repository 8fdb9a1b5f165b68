package lifecycle

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
)

// collector deletes or keeps objects according to the state of their owners.
type collector struct {
	graph     *graph
	resources []Resource
	enqueue   func(types.UID) // queues an object for sync
	warn      func(ctx context.Context, about *node, reason, message string)
}

func (c *collector) onUpdate(r *Resource, obj metav1.Object) { c.enqueueAll(c.graph.set(r, obj)) }
func (c *collector) onDelete(_ *Resource, obj metav1.Object) {
	c.enqueueAll(c.graph.remove(obj.GetUID()))
}
func (c *collector) onRelist(r *Resource, exist map[types.UID]bool) {
	for _, uid := range c.graph.missing(r, exist) {
		c.enqueueAll(c.graph.remove(uid))
	}
}

func (c *collector) enqueueAll(uids []types.UID) {
	for _, uid := range uids {
		c.enqueue(uid)
	}
}

// sync does what the state of one object requires. The caller retries after an error.
func (c *collector) sync(ctx context.Context, uid types.UID) error {
	n := c.graph.node(uid)
	switch {
	case n == nil:
		return nil
	case n.orphan:
		return c.releaseDependents(ctx, n)
	case n.foreground:
		return c.awaitDependents(ctx, n)
	case n.deleting:
		return nil // another finalizer holds the object, or its Pod is still running
	}
	return c.followOwners(ctx, n)
}

// followOwners deletes an object that has lost all its owners. If some owners are left, followOwners removes the
// lost ones from the owner references.
func (c *collector) followOwners(ctx context.Context, n *node) error {
	obj, err := c.get(ctx, n.location, n.name, n.uid)
	if err != nil || obj == nil || obj.GetDeletionTimestamp() != nil {
		return err
	}
	refs := obj.GetOwnerReferences()
	states := make([]ownerState, len(refs))
	lost := map[types.UID]bool{}
	for i, ref := range refs {
		if states[i], err = c.stateOf(ctx, n, ref); err != nil {
			return err
		}
		lost[ref.UID] = states[i] == absent || states[i] == waiting
	}
	switch decide(states) {
	case unlink:
		return c.update(ctx, n, func(obj metav1.Object) {
			obj.SetOwnerReferences(without(obj.GetOwnerReferences(), func(uid types.UID) bool { return lost[uid] }))
		})
	case end:
		return c.end(ctx, n, obj, states)
	case keep:
	}
	return nil
}

// end deletes an object that has no owner left, unless the object has changed since it was read.
func (c *collector) end(ctx context.Context, n *node, obj metav1.Object, states []ownerState) error {
	dependents := c.graph.dependentsOf(n.uid)
	policy := policyFor(obj.GetFinalizers(), states, len(dependents) > 0)
	if policy == metav1.DeletePropagationForeground && hasWaitingDependent(dependents) {
		unblock := func(obj metav1.Object) { obj.SetOwnerReferences(unblocked(obj.GetOwnerReferences())) }
		if err := c.update(ctx, n, unblock); err != nil {
			return err
		}
		return c.delete(ctx, n, policy, "")
	}
	return c.delete(ctx, n, policy, obj.GetResourceVersion())
}

// hasWaitingDependent reports whether a dependent waits for dependents of its own. The object may be one of them;
// then the owner references form a circle.
func hasWaitingDependent(dependents []*node) bool {
	for _, d := range dependents {
		if d.waits() {
			return true
		}
	}
	return false
}

// stateOf returns the state of an owner. It looks in the graph first, and asks the store before it answers absent.
func (c *collector) stateOf(ctx context.Context, n *node, ref metav1.OwnerReference) (ownerState, error) {
	r := c.resource(ref)
	if r == nil {
		return unknown, nil
	}
	if r.Namespaced && n.namespace == "" {
		c.warn(ctx, n, "OwnerRefInvalidNamespace",
			fmt.Sprintf("owner %s %s is namespaced; the owner of a cluster-scoped object must be cluster-scoped", ref.Kind,
				ref.Name))
		return unknown, nil
	}
	at, known := c.graph.locate(ref.UID)
	if known && at.matches(n, ref) {
		return stateOfLiving(c.graph.node(ref.UID).waits()), nil
	}
	owner, err := c.get(ctx, location{r, n.namespace}, ref.Name, ref.UID)
	if err != nil {
		return unknown, err
	}
	if owner == nil {
		if known {
			c.warn(ctx, n, "OwnerRefInvalidNamespace",
				fmt.Sprintf("owner %s %s (%s) is in another namespace and counts as absent", ref.Kind, ref.Name, ref.UID))
		}
		return absent, nil
	}
	return stateOfLiving(nodeOf(r, owner).waits()), nil
}

func stateOfLiving(waits bool) ownerState {
	if waits {
		return waiting
	}
	return alive
}

// releaseDependents removes an owner from the references of its dependents and then lets the owner be deleted.
func (c *collector) releaseDependents(ctx context.Context, owner *node) error {
	is := func(uid types.UID) bool { return uid == owner.uid }
	var errs []error
	for _, d := range c.graph.dependentsOf(owner.uid) {
		errs = append(errs, c.update(ctx, d,
			func(obj metav1.Object) { obj.SetOwnerReferences(without(obj.GetOwnerReferences(), is)) }))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.dropFinalizer(ctx, owner, metav1.FinalizerOrphanDependents)
}

// awaitDependents lets an owner be deleted once no dependent blocks it. Until then it queues the dependents, which
// are deleted with their owner.
func (c *collector) awaitDependents(ctx context.Context, owner *node) error {
	held := false
	for _, d := range c.graph.dependentsOf(owner.uid) {
		held = held || blocks(d.owners, owner.uid)
		if !d.deleting {
			c.enqueue(d.uid)
		}
	}
	if held {
		return nil // a change of a dependent queues the owner again
	}
	return c.dropFinalizer(ctx, owner, metav1.FinalizerDeleteDependents)
}

func (c *collector) dropFinalizer(ctx context.Context, n *node, finalizer string) error {
	return c.update(ctx, n, func(obj metav1.Object) {
		var left []string
		for _, f := range obj.GetFinalizers() {
			if f != finalizer {
				left = append(left, f)
			}
		}
		obj.SetFinalizers(left)
	})
}

func (c *collector) resource(ref metav1.OwnerReference) *Resource {
	for i := range c.resources {
		if c.resources[i].is(ref) {
			return &c.resources[i]
		}
	}
	return nil
}

// get reads past all caches. It returns nil if the object does not exist, or if another object has its name.
func (c *collector) get(ctx context.Context, at location, name string, uid types.UID) (metav1.Object, error) {
	obj, err := at.resource.Store.Get(in(ctx, at.namespace), name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := meta.Accessor(obj)
	if err != nil || found.GetUID() != uid {
		return nil, err
	}
	return found, nil
}

// update changes the metadata of an object. An object that no longer exists is no error.
func (c *collector) update(ctx context.Context, n *node, change func(metav1.Object)) error {
	updated := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, stored runtime.Object) (runtime.Object,
		error) {
		obj := stored.DeepCopyObject()
		m, err := meta.Accessor(obj)
		if err == nil && m.GetUID() != n.uid {
			err = apierrors.NewNotFound(n.resource.GroupResource, n.name) // another object has the name now
		}
		if err == nil {
			change(m)
		}
		return obj, err
	})
	_, _, err := n.resource.Store.Update(in(ctx, n.namespace), n.name, updated,
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// delete deletes an object. If version is not empty, the object must still have that resource version. An object
// that no longer exists is no error.
func (c *collector) delete(ctx context.Context, n *node, policy metav1.DeletionPropagation, version string) error {
	options := &metav1.DeleteOptions{PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &n.uid}}
	if version != "" {
		options.Preconditions.ResourceVersion = &version
	}
	_, _, err := n.resource.Store.Delete(in(ctx, n.namespace), n.name, rest.ValidateAllObjectFunc, options)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
