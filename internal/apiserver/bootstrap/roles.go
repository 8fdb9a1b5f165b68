package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/access"
	"viaduct/internal/apiserver/kinds"
	"viaduct/internal/apiserver/resource"
)

// Roles keeps the roles that the server is responsible for: the built-in ones and the aggregated ones.
type Roles struct {
	storages kinds.RBAC
	rbac     *access.RBAC
	extra    []rbacv1.ClusterRole // for kinds that bring their own permissions
	log      *slog.Logger
}

// NewRoles returns a keeper of roles. It starts nothing.
func NewRoles(storages kinds.RBAC, rbac *access.RBAC, served []resource.Served, log *slog.Logger) *Roles {
	return &Roles{storages: storages, rbac: rbac, extra: userRoles(served), log: log}
}

// Start writes what the built-in roles lack and loads all roles into the authorizer, which answers from then on. It
// returns when they are loaded. Afterwards the roles are kept until ctx ends.
func (r *Roles) Start(ctx context.Context) error {
	completing, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	sources, err := r.complete(completing)
	if err != nil {
		return fmt.Errorf("completing the built-in roles: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- r.rbac.Run(ctx, sources) }()
	select {
	case <-r.rbac.Loaded():
		go r.keep(ctx)
		return nil
	case err := <-done:
		return err
	}
}

// complete writes what the built-in roles lack. It returns the storages of the roles and the versions to read them
// from.
func (r *Roles) complete(ctx context.Context) (access.Sources, error) {
	roles, rolesErr := r.storages.ClusterRoles.List(ctx, fromCache)
	bindings, bindingsErr := r.storages.ClusterRoleBindings.List(ctx, fromCache)
	if err := errors.Join(rolesErr, bindingsErr); err != nil {
		return access.Sources{}, err
	}
	written, err := r.apply(ctx, access.Reconcile(access.Objects{ClusterRoles: values(roles),
		ClusterRoleBindings: values(bindings)}, r.extra...))
	return access.Sources{
		Roles:               access.Source{Storage: r.storages.Roles.Main, Since: fromCache},
		RoleBindings:        access.Source{Storage: r.storages.RoleBindings.Main, Since: fromCache},
		ClusterRoles:        access.Source{Storage: r.storages.ClusterRoles.Main, Since: written.roles.String()},
		ClusterRoleBindings: access.Source{Storage: r.storages.ClusterRoleBindings.Main, Since: written.bindings.String()},
		Log:                 r.log,
	}, err
}

// fromCache is the resourceVersion of reads that the watch cache answers.
const fromCache = "0"

func values[T any](pointers []*T) []T {
	out := make([]T, len(pointers))
	for i, p := range pointers {
		out[i] = *p
	}
	return out
}

// keep aggregates roles after each change, and creates deleted built-in roles again, until ctx ends.
func (r *Roles) keep(ctx context.Context) {
	tick := time.NewTicker(interval) // for writes that failed
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.rbac.Changed():
		}
		have, err := r.rbac.Objects(ctx)
		if err != nil {
			return
		}
		changes := access.Absent(have, r.extra...)
		changes.Roles = append(changes.Roles, access.Aggregate(have.ClusterRoles)...)
		if _, err := r.apply(ctx, changes); err != nil && ctx.Err() == nil {
			r.log.Warn("keeping the built-in roles", "err", err)
		}
	}
}

// revision is a resourceVersion; 0 is any.
type revision uint64

func (v revision) String() string { return strconv.FormatUint(uint64(v), 10) }

// versions are the newest versions that were written.
type versions struct{ roles, bindings revision }

// apply writes changes concurrently: etcd then combines them to few disk writes. Another server may have written the
// same meanwhile.
func (r *Roles) apply(ctx context.Context, changes access.Changes) (versions, error) {
	ctx = resource.WithNamespace(ctx, "")
	for _, name := range changes.Unbind {
		if _, _, err := r.storages.ClusterRoleBindings.Main.Delete(ctx, name, rest.ValidateAllObjectFunc,
			&metav1.DeleteOptions{}); err != nil {
			return versions{}, fmt.Errorf("deleting the cluster role binding %s, whose role cannot be changed: %w", name, err)
		}
	}
	var writing sync.WaitGroup
	roles, bindings := make([]written, len(changes.Roles)), make([]written, len(changes.Bindings))
	for i := range changes.Roles {
		writing.Go(func() { roles[i] = write(ctx, r.storages.ClusterRoles.Main, &changes.Roles[i]) })
	}
	for i := range changes.Bindings {
		writing.Go(func() { bindings[i] = write(ctx, r.storages.ClusterRoleBindings.Main, &changes.Bindings[i]) })
	}
	writing.Wait()
	newestRole, roleErr := newest(roles)
	newestBinding, bindingErr := newest(bindings)
	return versions{newestRole, newestBinding}, errors.Join(roleErr, bindingErr)
}

// written is the result of one write.
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

// write creates obj, or updates it if it has a resourceVersion. Another server that is faster is no error: its write is
// watched, and reconciled again.
func write(ctx context.Context, store *registry.Store, obj resource.Object) written {
	var out runtime.Object
	var err error
	if obj.GetResourceVersion() == "" {
		out, err = store.Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	} else {
		out, _, err = store.Update(ctx, obj.GetName(), rest.DefaultUpdatedObjectInfo(obj),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return written{}
	}
	if err != nil {
		return written{err: fmt.Errorf("writing %s: %w", obj.GetName(), err)}
	}
	v, err := strconv.ParseUint(out.(resource.Object).GetResourceVersion(), 10, 64)
	return written{revision(v), err}
}
