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

// collector makes objects end, or stay, as their owners do.
type collector struct {
	graph     *graph
	resources []Resource
	look      func(types.UID) // queues an object to be looked at
	complain  func(ctx context.Context, about *node, reason, message string)
}

func (c *collector) seen(r *Resource, obj metav1.Object) { c.lookAt(c.graph.set(r, obj)) }
func (c *collector) gone(_ *Resource, obj metav1.Object) { c.lookAt(c.graph.remove(obj.GetUID())) }
func (c *collector) are(r *Resource, there map[types.UID]bool) {
	for _, uid := range c.graph.missing(r, there) {
		c.lookAt(c.graph.remove(uid))
	}
}

func (c *collector) lookAt(uids []types.UID) {
	for _, uid := range uids {
		c.look(uid)
	}
}

// sync does what the state of one object asks for. An error means: again.
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
		return nil // somebody else's finalizer, or a Pod that takes its time
	}
	return c.followOwners(ctx, n)
}

// followOwners ends an object that has lost all its owners, and takes those out of its list that it has lost.
func (c *collector) followOwners(ctx context.Context, n *node) error {
	obj, err := c.get(ctx, n.place, n.name, n.uid)
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
	}
	return nil
}

// end deletes an object that has no owner left, as it was seen.
func (c *collector) end(ctx context.Context, n *node, obj metav1.Object, states []ownerState) error {
	dependents := c.graph.dependentsOf(n.uid)
	policy := policyFor(obj.GetFinalizers(), states, len(dependents) > 0)
	if policy == metav1.DeletePropagationForeground && inCircle(dependents) {
		unblock := func(obj metav1.Object) { obj.SetOwnerReferences(unblocked(obj.GetOwnerReferences())) }
		if err := c.update(ctx, n, unblock); err != nil {
			return err
		}
		return c.delete(ctx, n, policy, "")
	}
	return c.delete(ctx, n, policy, obj.GetResourceVersion())
}

// inCircle says that one of the dependents waits for dependents of its own, of which the object may be one.
func inCircle(dependents []*node) bool {
	for _, d := range dependents {
		if d.waits() {
			return true
		}
	}
	return false
}

// stateOf looks for an owner: first in the graph, and in the store before it is called absent.
func (c *collector) stateOf(ctx context.Context, n *node, ref metav1.OwnerReference) (ownerState, error) {
	r := c.resource(ref)
	if r == nil {
		return unknown, nil
	}
	if r.Namespaced && n.namespace == "" {
		c.complain(ctx, n, "OwnerRefInvalidNamespace",
			fmt.Sprintf("its owner %s %s is in a namespace, which the owner of an object of no namespace cannot be", ref.Kind,
				ref.Name))
		return unknown, nil
	}
	at, known := c.graph.place(ref.UID)
	if known && at.fits(n, ref) {
		return stateOfLiving(c.graph.node(ref.UID).waits()), nil
	}
	owner, err := c.get(ctx, place{r, n.namespace}, ref.Name, ref.UID)
	if err != nil {
		return unknown, err
	}
	if owner == nil {
		if known {
			c.complain(ctx, n, "OwnerRefInvalidNamespace",
				fmt.Sprintf("its owner %s %s (%s) is in another namespace: it counts as absent", ref.Kind, ref.Name, ref.UID))
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

// releaseDependents takes an owner out of the lists of its dependents, and then lets it end.
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

// awaitDependents lets an owner end once nothing below it holds it, and until then has its dependents looked at: they
// end with it.
func (c *collector) awaitDependents(ctx context.Context, owner *node) error {
	held := false
	for _, d := range c.graph.dependentsOf(owner.uid) {
		held = held || blocks(d.owners, owner.uid)
		if !d.deleting {
			c.look(d.uid)
		}
	}
	if held {
		return nil // it is looked at again when a dependent changes
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

// get reads past all caches. It returns nil if there is no such object, or if another one has its name.
func (c *collector) get(ctx context.Context, at place, name string, uid types.UID) (metav1.Object, error) {
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

// update changes the metadata of an object, if it is still there.
func (c *collector) update(ctx context.Context, n *node, change func(metav1.Object)) error {
	wish := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		obj := stored.DeepCopyObject()
		m, err := meta.Accessor(obj)
		if err == nil && m.GetUID() != n.uid {
			err = apierrors.NewNotFound(n.resource.GroupResource, n.name) // another object has its name by now
		}
		if err == nil {
			change(m)
		}
		return obj, err
	})
	_, _, err := n.resource.Store.Update(in(ctx, n.namespace), n.name, wish,
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// delete ends an object: if version is not empty, only as it was seen.
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
