package apiserver

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

// Each server over a shared store keeps a key there with its address, on a lease that ends with it; the keys are the
// servers that live. The place and the times are kube-apiserver's (its "lease" endpoint reconciler). Its key is the
// address alone; here the port belongs to it, for several servers may run on one host.
const (
	peersPrefix = "/registry/masterleases/"
	peerTTL     = 15 // seconds; refreshed at every lookAgain
)

// peers are the servers over one store, as one of them sees them. One goroutine at a time may use it.
type peers struct {
	client *clientv3.Client
	self   netip.AddrPort // where clients reach this server; invalid: nowhere that is worth telling
	alone  bool           // nobody else can have this store open, so there is no key to keep

	lease clientv3.LeaseID // 0: none yet
	left  bool
}

func newPeers(etcd *store.Store, self netip.AddrPort) *peers {
	return &peers{client: etcd.Client().Client, self: self, alone: etcd.Alone()}
}

// refresh says that this server lives, unless it has left, and returns all that do, sorted.
func (p *peers) refresh(ctx context.Context) ([]netip.AddrPort, error) {
	if p.alone {
		return p.only(), nil
	}
	if p.self.IsValid() && !p.left {
		if err := p.keepKey(ctx); err != nil {
			return nil, fmt.Errorf("telling the other servers that this one lives: %w", err)
		}
	}
	return p.list(ctx)
}

// leave removes this server from those that live, for good.
func (p *peers) leave(ctx context.Context) error {
	p.left = true
	if p.alone || p.lease == 0 {
		return nil
	}
	if _, err := p.client.Revoke(ctx, p.lease); err != nil {
		return fmt.Errorf("telling the other servers that this one ends: %w", err)
	}
	return nil
}

func (p *peers) only() []netip.AddrPort {
	if !p.self.IsValid() {
		return nil
	}
	return []netip.AddrPort{p.self}
}

// keepKey refreshes the lease of this server's key. It makes both anew where the lease has ended, or somebody removed
// the key.
func (p *peers) keepKey(ctx context.Context) error {
	if p.lease != 0 {
		resp, err := p.client.TimeToLive(ctx, p.lease, clientv3.WithAttachedKeys())
		if err == nil && resp.TTL > 0 && len(resp.Keys) > 0 {
			_, err = p.client.KeepAliveOnce(ctx, p.lease)
		} else if err == nil {
			err = rpctypes.ErrLeaseNotFound
		}
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
	}
	granted, err := p.client.Grant(ctx, peerTTL)
	if err != nil {
		return err
	}
	p.lease = granted.ID
	_, err = p.client.Put(ctx, peersPrefix+p.self.String(), p.self.String(), clientv3.WithLease(p.lease))
	return err
}

func (p *peers) list(ctx context.Context) ([]netip.AddrPort, error) {
	resp, err := p.client.Get(ctx, peersPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("reading which servers live: %w", err)
	}
	var all []netip.AddrPort
	for _, kv := range resp.Kvs {
		// What does not parse is a kube-apiserver's, which leaves the port out.
		if peer, err := netip.ParseAddrPort(strings.TrimPrefix(string(kv.Key), peersPrefix)); err == nil {
			all = append(all, peer)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all, nil
}

// watch tells when servers come and go. It ends with ctx, or when the store's watch does.
func (p *peers) watch(ctx context.Context) clientv3.WatchChan {
	if p.alone {
		return nil
	}
	return p.client.Watch(clientv3.WithRequireLeader(ctx), peersPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
}
