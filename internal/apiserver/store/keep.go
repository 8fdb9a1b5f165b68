package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/etcd3"
)

// lookEvery is how often a store is looked at. In that time no server writes a good part of the quota.
const lookEvery = time.Second

// Keep keeps the store small until ctx ends: old revisions are compacted away, and the member's file is given back what
// it does not use. Of several servers over one cluster one compacts, whichever comes first; that cluster's files and
// quota are its administrator's.
func (s *Store) Keep(ctx context.Context) {
	s.keep(ctx, lookEvery)
}

func (s *Store) keep(ctx context.Context, every time.Duration) {
	k := &keeper{store: s, log: s.log, size: newSizing(s.quota, time.Now())}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := k.look(ctx, now); err != nil && ctx.Err() == nil {
				k.log.Warn("keeping the store small", "err", err)
			}
		}
	}
}

// keeper is the state of Keep.
type keeper struct {
	store             *Store
	log               *slog.Logger
	size              *sizing
	version, revision int64 // what etcd3.Compact is to be given at its next call: it coordinates the servers by them
	full              bool  // the log says so already
}

func (k *keeper) look(ctx context.Context, now time.Time) error {
	used := k.store.usage()
	if k.store.isFull() {
		return k.heal(ctx, used)
	}
	if why := k.size.compaction(now, used); why != "" {
		if err := k.compact(ctx); err != nil {
			return err
		}
		k.log.Debug("compacted the store", "why", why, "revision", k.revision, "inUse", used.inUse)
	}
	if why := k.size.defragmentation(now, used); why != "" {
		return k.store.defragment(k.log, why)
	}
	return nil
}

// usage is what the member takes; of a cluster elsewhere it is not known.
func (s *Store) usage() usage {
	if s.member == nil {
		return usage{}
	}
	backend := s.member.Server.Backend()
	return usage{file: backend.Size(), inUse: backend.SizeInUse()}
}

// compact removes what was overwritten or deleted before the last compaction, so that clients have that long to catch
// up.
func (k *keeper) compact(ctx context.Context) error {
	version, revision, _, err := etcd3.Compact(ctx, k.store.client.Client, k.version, k.revision)
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("compacting the store: %w", err)
	}
	k.version, k.revision = version, revision
	return nil
}

// defragment rewrites the member's file without its unused pages. Nothing is read or written meanwhile: about a second
// for 100 MB in use.
func (s *Store) defragment(log *slog.Logger, why string) error {
	if !s.copying.TryLock() {
		return nil // a backup is being read, which a defragmentation would wait for
	}
	defer s.copying.Unlock()
	before, start := s.usage(), time.Now()
	if err := s.member.Server.Backend().Defrag(); err != nil {
		return fmt.Errorf("defragmenting the store: %w", err)
	}
	log.Info("defragmented the store", "why", why, "before", before.file, "after", s.usage().file, "took",
		time.Since(start))
	return nil
}

// isFull says whether the member refuses writes because its file exceeds the quota.
func (s *Store) isFull() bool {
	if s.member == nil {
		return false
	}
	for _, alarm := range s.member.Server.Alarms() {
		if alarm.GetAlarm() == pb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

// heal makes room in a member that refuses writes, by giving up its whole history, and then lets it write again.
func (k *keeper) heal(ctx context.Context, used usage) error {
	if !k.full {
		k.full = true
		k.log.Error("the store is full and refuses writes: making room", "file", used.file, "inUse", used.inUse, "quota",
			k.store.quota)
	}
	revision, err := k.store.revision(ctx)
	if err != nil {
		return err
	}
	if _, err := k.store.client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err,
		rpctypes.ErrCompacted) {
		return fmt.Errorf("making room in the full store: %w", err)
	}
	if !k.size.worthHealing(k.store.usage()) {
		return nil
	}
	if err := k.store.defragment(k.log, "the store is full"); err != nil {
		return err
	}
	if now := k.store.usage(); !k.size.roomy(now) {
		k.log.Error("the store is full of objects and takes no more: delete some", "inUse", now.inUse, "quota", k.store.quota)
		return nil
	}
	if _, err := k.store.client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("letting the store write again: %w", err)
	}
	k.full = false
	k.log.Info("the store has room again", "file", k.store.usage().file, "quota", k.store.quota)
	return nil
}
