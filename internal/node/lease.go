package node

import (
	"context"
	"fmt"
	"time"

	coordination "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	leaseSeconds = 40               // a node without a renewal for so long counts as dead
	leaseRenewal = 10 * time.Second // between two renewals
)

// keepLease renews the Node's Lease until ctx ends.
func (a *Agent) keepLease(ctx context.Context) {
	ticker := time.NewTicker(leaseRenewal)
	defer ticker.Stop()
	for {
		if err := a.renewLease(ctx); err != nil && ctx.Err() == nil {
			a.opts.Log.Warn("renewing the node's lease", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// renewLease renews the Lease, or creates it.
func (a *Agent) renewLease(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leases := a.client.CoordinationV1().Leases(v1.NamespaceNodeLease)
	lease, err := leases.Get(ctx, a.opts.NodeName, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("reading the lease: %w", err)
	}
	if missing {
		lease = &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: a.opts.NodeName, Namespace: v1.NamespaceNodeLease}}
	}
	seconds, at := int32(leaseSeconds), metav1.NowMicro()
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &a.opts.NodeName, &seconds, &at
	if missing {
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing the lease: %w", err)
	}
	return nil
}
