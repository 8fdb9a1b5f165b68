package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// open opens a store and closes it when the test ends.
func open(t *testing.T, options Options) *Store {
	t.Helper()
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	s, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// save writes a snapshot of s to a file.
func save(t *testing.T, s *Store) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	n, err := snapshot.WriteTo(f)
	if err != nil || n != snapshot.Size() {
		t.Fatalf("wrote %d of %d bytes: %v", n, snapshot.Size(), err)
	}
	return path
}

type entry struct {
	value            string
	created, changed int64
	lease            int64
}

// entries returns everything that a store holds.
func entries(t *testing.T, s *Store, opts ...clientv3.OpOption) (all map[string]entry, revision int64) {
	t.Helper()
	resp, err := s.Client().KV.Get(t.Context(), "/", append(opts, clientv3.WithPrefix())...)
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]entry{}
	for _, kv := range resp.Kvs {
		all[string(kv.Key)] = entry{string(kv.Value), kv.CreateRevision, kv.ModRevision, kv.Lease}
	}
	return all, resp.Header.Revision
}

func put(t *testing.T, s *Store, key, value string, opts ...clientv3.OpOption) int64 {
	t.Helper()
	resp, err := s.Client().KV.Put(t.Context(), key, value, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

func TestSnapshotUnderLoadIsOneRevision(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "etcd")})
	lease, err := s.Client().Grant(t.Context(), 3600)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "/registry/leased", "x", clientv3.WithLease(lease.ID))
	for i := range 50 {
		put(t, s, fmt.Sprintf("/registry/old/%d", i), "old")
	}
	for i := range 20 {
		if _, err := s.Client().KV.Delete(t.Context(), fmt.Sprintf("/registry/old/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	warm := make(chan struct{}, 4)
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("/registry/load/%d/%d", w, i%40)
				if _, err := s.Client().KV.Put(ctx, key, fmt.Sprint(i)); err == nil && i == 60 {
					warm <- struct{}{}
				}
			}
		})
	}
	for range 4 {
		<-warm
	}
	path := save(t, s)
	stop()
	writers.Wait()

	dir := filepath.Join(t.TempDir(), "restored")
	contents, err := Restore(t.Context(), path, dir)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := entries(t, s, clientv3.WithRev(contents.Revision))
	restored := open(t, Options{Dir: dir})
	got, revision := entries(t, restored)
	if !maps.Equal(got, want) || contents.Keys != len(want) {
		t.Errorf("restored %d keys, said %d; want %d, those at revision %d:\ngot  %v\nwant %v", len(got), contents.Keys,
			len(want), contents.Revision, got, want)
	}
	if _, last := entries(t, s); revision <= last {
		t.Errorf("the restored store is at revision %d, clients have seen %d", revision, last)
	}
	if next := put(t, restored, "/registry/new", "x"); next != revision+1 {
		t.Errorf("the first write has revision %d after %d", next, revision)
	}
	if ttl, err := restored.Client().TimeToLive(t.Context(), lease.ID, clientv3.WithAttachedKeys()); err != nil ||
		ttl.TTL <= 0 || len(ttl.Keys) != 1 {
		t.Errorf("the lease is lost: %+v, %v", ttl, err)
	}
}

// A client that has seen more than the snapshot must get an error, and must not wait for changes that it has seen
// already.
func TestRestoredStoreRefusesHistory(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "etcd")})
	put(t, s, "/registry/a", "1")
	path := save(t, s)
	seen := put(t, s, "/registry/a", "2")
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), path, dir); err != nil {
		t.Fatal(err)
	}
	var restored *Store
	for _, when := range []string{"after the restore", "after another start"} {
		restored = open(t, Options{Dir: dir})
		change := <-restored.Client().Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(seen+1))
		if !errors.Is(change.Err(), rpctypes.ErrCompacted) {
			t.Errorf("%s: a watch from revision %d: %+v, %v; want ErrCompacted", when, seen+1, change, change.Err())
		}
		if _, revision := entries(t, restored); revision < revisionGap {
			t.Errorf("%s: at revision %d, want more than %d", when, revision, revisionGap)
		}
		restored.Close()
	}
}

func TestVerifyRefuses(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "etcd")})
	put(t, s, "/registry/a", strings.Repeat("x", 10_000))
	whole, err := os.ReadFile(save(t, s))
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)/2] ^= 1
	for name, text := range map[string][]byte{
		"empty": nil, "cut": whole[:len(whole)-512], "cut within a page": whole[:len(whole)-100],
		"without its hash": whole[:len(whole)-32],
		"one bit changed":  flipped, "something else": []byte(strings.Repeat("no snapshot", 100)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "snapshot")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "restored")
			if c, err := Restore(t.Context(), path, dir); err == nil {
				t.Errorf("accepted: %+v", c)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("something was restored")
			}
		})
	}
	if _, err := Verify("/no/such/file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestRestoreKeepsExistingFiles(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "etcd")})
	path := save(t, s)
	if _, err := Restore(t.Context(), path, t.TempDir()); err == nil {
		t.Error("an existing directory was used")
	}
}

// A snapshot with a slow reader must not stop the writers.
func TestSlowSnapshotBlocksNoWriter(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "etcd")})
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.defragment(s.log, "test"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "/registry/a", "1")
	if _, err := snapshot.WriteTo(io.Discard); err != nil {
		t.Error(err)
	}
	snapshot.Close()
	snapshot.Close() // again is fine
	if err := s.defragment(s.log, "test"); err != nil {
		t.Fatal(err)
	}
}
