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

// checkInterval is the time between two checks. No server writes a large part of the quota in that time.
const checkInterval = time.Second

// Keep bounds the size of the store until ctx ends: it compacts old revisions and defragments the member's file. Of
// several servers over one cluster, the first one at each interval compacts. The files and the quota of a cluster
// elsewhere are the responsibility of its administrator.
func (s *Store) Keep(ctx context.Context) {
	s.keep(ctx, checkInterval)
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
			if err := k.check(ctx, now); err != nil && ctx.Err() == nil {
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
	version, revision int64 // results of etcd3.Compact, which it needs at its next call to coordinate the servers
	full              bool  // the log has reported it
}

func (k *keeper) check(ctx context.Context, now time.Time) error {
	used := k.store.usage()
	if k.store.isFull() {
		return k.freeSpace(ctx, used)
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

// usage returns the size of the member. The size of a cluster elsewhere is not known.
func (s *Store) usage() usage {
	if s.member == nil {
		return usage{}
	}
	backend := s.member.Server.Backend()
	return usage{file: backend.Size(), inUse: backend.SizeInUse()}
}

// compact removes revisions that were replaced before the last compaction, so that clients have one interval to
// catch up.
func (k *keeper) compact(ctx context.Context) error {
	version, revision, _, err := etcd3.Compact(ctx, k.store.client.Client, k.version, k.revision)
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("compacting the store: %w", err)
	}
	k.version, k.revision = version, revision
	return nil
}

// defragment rewrites the member's file without its unused pages. It blocks reads and writes: about a second for 100
// MB in use.
func (s *Store) defragment(log *slog.Logger, why string) error {
	if !s.copying.TryLock() {
		return nil // a backup is being read, and a defragmentation would wait for it
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

// isFull reports whether the member refuses writes because its file exceeds the quota.
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

// freeSpace drops the whole history of a member that refuses writes, and clears the alarm once there is space.
func (k *keeper) freeSpace(ctx context.Context, used usage) error {
	if !k.full {
		k.full = true
		k.log.Error("the store is full and refuses writes; freeing space", "file", used.file, "inUse", used.inUse, "quota",
			k.store.quota)
	}
	revision, err := k.store.revision(ctx)
	if err != nil {
		return err
	}
	if _, err := k.store.client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err,
		rpctypes.ErrCompacted) {
		return fmt.Errorf("freeing space in the full store: %w", err)
	}
	if !k.size.worthDefragmenting(k.store.usage()) {
		return nil
	}
	if err := k.store.defragment(k.log, "the store is full"); err != nil {
		return err
	}
	if now := k.store.usage(); !k.size.hasRoom(now) {
		k.log.Error("the store is full of live objects and refuses writes; delete some", "inUse", now.inUse, "quota",
			k.store.quota)
		return nil
	}
	if _, err := k.store.client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("clearing the alarm of the store: %w", err)
	}
	k.full = false
	k.log.Info("the store has free space again", "file", k.store.usage().file, "quota", k.store.quota)
	return nil
}
