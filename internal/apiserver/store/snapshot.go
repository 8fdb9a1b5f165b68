package store

import (
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"go.etcd.io/etcd/server/v3/storage/backend"
)

// ErrElsewhere is returned for an external cluster, which its own tools must save.
var ErrElsewhere = errors.New("the store is an external etcd cluster: save it with etcdctl snapshot save")

// A Snapshot is the whole store at one moment, with every write that was acknowledged until then.
type Snapshot struct {
	of    backend.Snapshot
	close func()
}

// Snapshot begins a snapshot; the caller must close it. Writes continue meanwhile, and the file of the store grows
// by what they replace.
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

// Size returns the number of bytes that WriteTo writes.
func (s *Snapshot) Size() int64 { return s.of.Size() + sha256.Size }

// WriteTo writes the snapshot in the form of `etcdctl snapshot save`: the database and its SHA-256. etcd's own tools
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
