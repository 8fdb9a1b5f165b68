package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"viaduct/internal/apiserver/store"
)

// Every API server over a shared etcd keeps a key there with its address, attached to an etcd lease. The keys are the
// live servers. Prefix and TTL are those of kube-apiserver's "lease" endpoint reconciler. Its key is the address; here
// it is address and port, because several servers may run on one host.
const (
	leasePrefix = "/registry/masterleases/"
	leaseTTL    = 15 // seconds; refreshed at every interval
)

// leases is one server's view of the live servers over its etcd. One goroutine at a time may use it.
type leases struct {
	client    *clientv3.Client
	self      netip.AddrPort // where clients reach this server; invalid: it is not published
	exclusive bool           // no other server can use this etcd, so no key is kept

	lease clientv3.LeaseID // 0: none yet
	left  bool
}

func newLeases(etcd *store.Store, self netip.AddrPort) *leases {
	return &leases{client: etcd.Client().Client, self: self, exclusive: etcd.Alone()}
}

// refresh renews the key of this server, unless it has left, and returns the live servers, sorted.
func (l *leases) refresh(ctx context.Context) ([]netip.AddrPort, error) {
	if l.exclusive {
		return l.only(), nil
	}
	if l.self.IsValid() && !l.left {
		if err := l.keepKey(ctx); err != nil {
			return nil, fmt.Errorf("renewing the lease of this server: %w", err)
		}
	}
	return l.list(ctx)
}

// leave removes the key of this server, for good.
func (l *leases) leave(ctx context.Context) error {
	l.left = true
	if l.exclusive || l.lease == 0 {
		return nil
	}
	if _, err := l.client.Revoke(ctx, l.lease); err != nil {
		return fmt.Errorf("revoking the lease of this server: %w", err)
	}
	return nil
}

func (l *leases) only() []netip.AddrPort {
	if !l.self.IsValid() {
		return nil
	}
	return []netip.AddrPort{l.self}
}

// keepKey refreshes the lease of this server's key. It creates both again if the lease has expired or the key was
// deleted.
func (l *leases) keepKey(ctx context.Context) error {
	if l.lease != 0 {
		resp, err := l.client.TimeToLive(ctx, l.lease, clientv3.WithAttachedKeys())
		if err == nil && resp.TTL > 0 && len(resp.Keys) > 0 {
			_, err = l.client.KeepAliveOnce(ctx, l.lease)
		} else if err == nil {
			err = rpctypes.ErrLeaseNotFound
		}
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
	}
	granted, err := l.client.Grant(ctx, leaseTTL)
	if err != nil {
		return err
	}
	l.lease = granted.ID
	_, err = l.client.Put(ctx, leasePrefix+l.self.String(), l.self.String(), clientv3.WithLease(l.lease))
	return err
}

func (l *leases) list(ctx context.Context) ([]netip.AddrPort, error) {
	resp, err := l.client.Get(ctx, leasePrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("listing the leases of servers: %w", err)
	}
	var all []netip.AddrPort
	for _, kv := range resp.Kvs {
		// A key without a port is a kube-apiserver's.
		if peer, err := netip.ParseAddrPort(strings.TrimPrefix(string(kv.Key), leasePrefix)); err == nil {
			all = append(all, peer)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all, nil
}

// watch delivers an event when a key is added or removed. The channel is closed when ctx or etcd's watch ends; it is
// nil for an exclusive etcd.
func (l *leases) watch(ctx context.Context) clientv3.WatchChan {
	if l.exclusive {
		return nil
	}
	return l.client.Watch(clientv3.WithRequireLeader(ctx), leasePrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
}
