// Package store is the etcd that holds the API's objects: a member in this process, or an external cluster. The package
// opens the store, bounds its size, and saves and restores the member. It knows keys, values and revisions; it must not
// know what an object is.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/utils/clock"
)

// Options are the location and the limits of a store.
type Options struct {
	Dir     string       // the member's files; created if it does not exist
	Cluster Cluster      // if it names servers, they are the store and Dir is unused
	Quota   int64        // the largest size of the member's database in bytes; 0: 8 GiB, the most that etcd recommends
	Log     *slog.Logger // nil: slog.Default()
}

// defaultQuota is the most that etcd recommends.
const defaultQuota = 8 << 30

// Store is an open store.
type Store struct {
	client    *kubernetes.Client
	member    *embed.Etcd // nil: the store is an external cluster
	quota     int64       // bytes; of the member
	log       *slog.Logger
	compactor interface {
		etcd3.Compactor
		Stop()
	}
	// copying is held shared while a snapshot is read, and exclusively by a defragmentation, which would otherwise wait
	// for the reader of the snapshot and block every write of the server.
	copying sync.RWMutex
	closing sync.Once
}

// Open opens the store and returns once the store accepts writes. It waits up to a minute for a cluster that does
// not answer.
func Open(ctx context.Context, options Options) (*Store, error) {
	s := &Store{quota: options.Quota, log: options.Log}
	if s.quota == 0 {
		s.quota = defaultQuota
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	var err error
	if len(options.Cluster.Servers) > 0 {
		s.client, err = connect(ctx, options.Cluster, s.log)
		if err != nil {
			return nil, err
		}
		feature.DefaultFeatureSupportChecker.CheckClient(ctx, s.client.Client, storage.RequestWatchProgress)
	} else {
		if s.member, err = startMember(ctx, options.Dir, s.quota, s.log); err != nil {
			return nil, err
		}
		s.client = memberClient(s.member)
		feature.DefaultFeatureSupportChecker.CheckClient(ctx, namedEndpoint{s.client.Client}, storage.RequestWatchProgress)
	}
	// With an interval of zero the library's compactor compacts nothing; it only follows the compactions of Keep.
	s.compactor = etcd3.NewCompactor(s.client.Client, 0, clock.RealClock{}, nil)
	return s, nil
}

// Client returns the client for the storage of objects. Close closes it.
func (s *Store) Client() *kubernetes.Client { return s.client }

// Compactor reports which revisions have been compacted.
func (s *Store) Compactor() etcd3.Compactor { return s.compactor }

// Alone reports whether no other server can have this store open.
func (s *Store) Alone() bool { return s.member != nil }

// Close stops the store. Acknowledged writes are on disk already. Further calls do nothing.
func (s *Store) Close() {
	s.closing.Do(func() {
		s.compactor.Stop()
		_ = s.client.Close()
		if s.member != nil {
			s.member.Close()
		}
	})
}

// checkTimeout is how long a store may take to answer before it counts as unhealthy.
const checkTimeout = 2 * time.Second

// healthKey is read to check that the store answers. The key does not exist.
const healthKey = "/registry/health"

// Check reads one key. A server whose store does not answer is not ready.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if _, err := s.client.KV.Get(ctx, healthKey); err != nil {
		s.log.Debug("the store does not answer", "err", err)
		return errors.New("the store does not answer") // only the log gets the cause, which may name paths and addresses
	}
	return nil
}

// revision returns the revision of the last write.
func (s *Store) revision(ctx context.Context) (int64, error) {
	resp, err := s.client.KV.Get(ctx, healthKey, clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("reading the store's revision: %w", err)
	}
	return resp.Header.Revision, nil
}
