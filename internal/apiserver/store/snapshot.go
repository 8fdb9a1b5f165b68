package store

import (
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"go.etcd.io/etcd/server/v3/storage/backend"
)

// ErrElsewhere says that a cluster elsewhere cannot be saved from here: its own tools do that.
var ErrElsewhere = errors.New("the store is an etcd cluster elsewhere: save it with etcdctl snapshot save")

// A Snapshot is the whole store as of one moment, with everything that was acknowledged until then.
type Snapshot struct {
	of    backend.Snapshot
	close func()
}

// Snapshot begins a snapshot; the caller must close it. Writes go on meanwhile, but the store's file grows by what they
// overwrite.
func (s *Store) Snapshot() (*Snapshot, error) {
	if s.member == nil {
		return nil, ErrElsewhere
	}
	s.copying.RLock()
	of := s.member.Server.Backend().Snapshot()
	return &Snapshot{of: of, close: sync.OnceFunc(func() {
		of.Close()
		s.copying.RUnlock()
	})}, nil
}

// Size is how many bytes WriteTo writes.
func (s *Snapshot) Size() int64 { return s.of.Size() + sha256.Size }

// WriteTo writes the snapshot as `etcdctl snapshot save` does: the database, and the SHA-256 of it. etcd's own tools
// can restore it.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	hash := sha256.New()
	n, err := s.of.WriteTo(io.MultiWriter(w, hash))
	if err != nil {
		return n, err
	}
	m, err := w.Write(hash.Sum(nil))
	return n + int64(m), err
}

// Close ends the snapshot.
func (s *Snapshot) Close() { s.close() }
