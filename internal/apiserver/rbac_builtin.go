package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"viaduct/internal/apiserver/access"
)

// accessHook completes the built-in roles and begins to answer by all of them. Until it has, requests that depend on
// roles wait.
func (s *Server) accessHook(hook genericapiserver.PostStartHookContext) error {
	ctx, cancel := context.WithTimeout(hook.Context, bootstrapTimeout)
	defer cancel()
	k := &roleKeeper{stores: s.boot.stores.rbac, roles: s.roles, log: s.log}
	sources, err := k.complete(ctx)
	if err != nil {
		return fmt.Errorf("completing the built-in roles: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.roles.Run(hook.Context, sources) }()
	select {
	case <-s.roles.Loaded():
		go k.keep(hook.Context)
		return nil
	case err := <-done:
		return err
	}
}

// roleKeeper writes the roles that the server itself is responsible for: the built-in ones, and those gathered from
// others.
type roleKeeper struct {
	stores rbacStores
	roles  *access.RBAC
	log    *slog.Logger
}

// complete writes what the built-in roles lack, and says where and from when on the roles are to be read.
func (k *roleKeeper) complete(ctx context.Context) (access.Sources, error) {
	var roles rbacv1.ClusterRoleList
	var bindings rbacv1.ClusterRoleBindingList
	if err := errors.Join(readCached(ctx, k.stores.clusterRoles, &roles), readCached(ctx, k.stores.clusterRoleBindings,
		&bindings)); err != nil {
		return access.Sources{}, err
	}
	written, err := k.apply(ctx, access.Reconcile(access.Objects{ClusterRoles: roles.Items,
		ClusterRoleBindings: bindings.Items}))
	return access.Sources{
		Roles: access.Source{Storage: k.stores.roles, Since: "0"}, RoleBindings: access.Source{Storage: k.stores.roleBindings,
			Since: "0"},
		ClusterRoles:        access.Source{Storage: k.stores.clusterRoles, Since: written.roles.String()},
		ClusterRoleBindings: access.Source{Storage: k.stores.clusterRoleBindings, Since: written.bindings.String()},
		Log:                 k.log,
	}, err
}

// readCached reads a whole kind as the cache has it.
func readCached[L any, P interface {
	*L
	runtime.Object
}](ctx context.Context, store *registry.Store, into P) error {
	obj, err := store.List(ctx, &internalversion.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	list, ok := obj.(P)
	if !ok {
		return fmt.Errorf("a list of %T where %T was expected", obj, into)
	}
	*into = *list
	return nil
}

// keep gathers roles anew after each change, and makes again what was deleted of the built-in ones, until ctx ends.
func (k *roleKeeper) keep(ctx context.Context) {
	tick := time.NewTicker(lookAgain) // for what failed
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.roles.Changed():
		}
		have, err := k.roles.Objects(ctx)
		if err != nil {
			return
		}
		changes := access.Absent(have)
		changes.Roles = append(changes.Roles, access.Aggregate(have.ClusterRoles)...)
		if _, err := k.apply(ctx, changes); err != nil && ctx.Err() == nil {
			k.log.Warn("keeping the built-in roles", "err", err)
		}
	}
}

// revision is a resourceVersion; 0 is any.
type revision uint64

func (v revision) String() string { return strconv.FormatUint(uint64(v), 10) }

// versions are the newest of what was written.
type versions struct{ roles, bindings revision }

// apply writes changes: all at once, for etcd then makes one disk write of many. What another server has written
// meanwhile is as good.
func (k *roleKeeper) apply(ctx context.Context, changes access.Changes) (versions, error) {
	ctx = withNamespace(ctx, "") // the library wants to be told
	for _, name := range changes.Unbind {
		if _, _, err := k.stores.clusterRoleBindings.Delete(ctx, name, rest.ValidateAllObjectFunc,
			&metav1.DeleteOptions{}); err != nil {
			return versions{}, fmt.Errorf("deleting the cluster role binding %s, to bind another role: %w", name, err)
		}
	}
	var writing sync.WaitGroup
	roles, bindings := make([]written, len(changes.Roles)), make([]written, len(changes.Bindings))
	for i := range changes.Roles {
		writing.Go(func() { roles[i] = write(ctx, k.stores.clusterRoles, &changes.Roles[i]) })
	}
	for i := range changes.Bindings {
		writing.Go(func() { bindings[i] = write(ctx, k.stores.clusterRoleBindings, &changes.Bindings[i]) })
	}
	writing.Wait()
	newestRole, roleErr := newest(roles)
	newestBinding, bindingErr := newest(bindings)
	return versions{newestRole, newestBinding}, errors.Join(roleErr, bindingErr)
}

// written is what came of one write.
type written struct {
	revision revision
	err      error
}

func newest(all []written) (revision, error) {
	var v revision
	var errs []error
	for _, w := range all {
		v = max(v, w.revision)
		errs = append(errs, w.err)
	}
	return v, errors.Join(errs...)
}

// write creates obj, or updates it if it has a resourceVersion.
func write(ctx context.Context, store *registry.Store, obj object) written {
	var out runtime.Object
	var err error
	if obj.GetResourceVersion() == "" {
		out, err = store.Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	} else {
		out, _, err = store.Update(ctx, obj.GetName(), rest.DefaultUpdatedObjectInfo(obj),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return written{} // somebody else was faster; what they did is heard of, and seen to
	}
	if err != nil {
		return written{err: fmt.Errorf("writing %s: %w", obj.GetName(), err)}
	}
	v, err := strconv.ParseUint(out.(object).GetResourceVersion(), 10, 64)
	return written{revision(v), err}
}

// boundPods looks up the Pods of a node in the server's own storage, which has an index of them.
type boundPods struct{ server *Server }

// OnNode implements access.Pods.
func (p boundPods) OnNode(ctx context.Context, namespace, node string, fresh bool) ([]corev1.Pod, error) {
	options := &internalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node)}
	if !fresh {
		options.ResourceVersion = "0"
	}
	obj, err := p.server.boot.stores.pods.List(withNamespace(ctx, namespace), options)
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.PodList).Items, nil
}
