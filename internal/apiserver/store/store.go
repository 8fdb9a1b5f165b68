// Package store is the etcd that the API's objects are kept in: one member in this process, or a cluster elsewhere. It
// opens it, keeps it small, and saves and restores the member. It knows keys, values and revisions; it must not know
// what an object is.
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

// Options say where the store is.
type Options struct {
	Dir     string       // the member's files; made if it is not there
	Cluster Cluster      // if it names servers, they are the store, and Dir is not used
	Quota   int64        // bytes that the member's database may take; 0: 8 GiB, the most that etcd advises
	Log     *slog.Logger // nil: slog.Default()
}

// defaultQuota is the most that etcd advises.
const defaultQuota = 8 << 30

// Store is an open store.
type Store struct {
	client    *kubernetes.Client
	member    *embed.Etcd // nil: the store is a cluster elsewhere
	quota     int64       // bytes; of the member
	log       *slog.Logger
	compactor interface {
		etcd3.Compactor
		Stop()
	}
	// copying is held shared while a snapshot is read, and alone by a defragmentation, which would otherwise wait for the
	// snapshot's reader with every write of the server behind it.
	copying sync.RWMutex
	closing sync.Once
}

// Open opens the store, and returns once it can be written to. For a cluster that does not answer that is up to a
// minute.
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
	// The library's compactor only follows what Keep compacts: with an interval of zero it compacts nothing itself.
	s.compactor = etcd3.NewCompactor(s.client.Client, 0, clock.RealClock{}, nil)
	return s, nil
}

// Client is for the storage of the objects. It is closed by Close.
func (s *Store) Client() *kubernetes.Client { return s.client }

// Compactor tells which revisions are gone.
func (s *Store) Compactor() etcd3.Compactor { return s.compactor }

// Alone says that no other server can have this store open.
func (s *Store) Alone() bool { return s.member != nil }

// Close stops the store; what was acknowledged is on disk already. To close it again does nothing.
func (s *Store) Close() {
	s.closing.Do(func() {
		s.compactor.Stop()
		_ = s.client.Close()
		if s.member != nil {
			s.member.Close()
		}
	})
}

// checkTimeout is how long a store may take to answer before it counts as hanging.
const checkTimeout = 2 * time.Second

// healthKey is read to see that the store answers. It does not exist.
const healthKey = "/registry/health"

// Check reads one key: a server whose store hangs must not be sent clients.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if _, err := s.client.KV.Get(ctx, healthKey); err != nil {
		s.log.Debug("the store does not answer", "err", err)
		return errors.New("the store does not answer") // the cause may name paths and addresses: for the log only
	}
	return nil
}

// revision is that of the last write.
func (s *Store) revision(ctx context.Context) (int64, error) {
	resp, err := s.client.KV.Get(ctx, healthKey, clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("reading the store's revision: %w", err)
	}
	return resp.Header.Revision, nil
}
