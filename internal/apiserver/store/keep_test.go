package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	testQuota    = 24 << 20 // bytes
	testInterval = 20 * time.Millisecond
	testTime     = time.Minute // far more than any step takes
)

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (j *logBuffer) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *logBuffer) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// small opens a store with a small quota.
func small(t *testing.T) (*Store, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "etcd"), Quota: testQuota,
		Log: slog.New(slog.NewTextHandler(log, nil))})
	return s, log
}

// kept runs Keep until the test ends.
func kept(t *testing.T, s *Store) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { s.keep(ctx, testInterval) })
	t.Cleanup(func() { stop(); keeping.Wait() })
}

// value returns a value of 32 kB that does not compress.
func value(n int) string { return strings.Repeat(fmt.Sprintf("%08d", n), 4096) }

// The test writes five times the quota over the same few keys, as short-lived Pods do. The keeper checks after every
// twentieth part of the quota, which is far more than real clients write in a second; a compaction in progress holds
// the writer up.
func TestSizeStaysBounded(t *testing.T) {
	s, log := small(t)
	now := time.Unix(0, 0)
	k := &keeper{store: s, log: s.log, size: newSizing(s.quota, now)}
	look := func() usage {
		t.Helper()
		s.member.Server.Backend().ForceCommit() // what waits for the next commit is in no figure yet
		now = now.Add(checkInterval)
		if err := k.check(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		return s.usage()
	}
	most := int64(0)
	const times, looks = 5, 20
	for n := range times * testQuota / len(value(0)) {
		key := fmt.Sprintf("/registry/pods/%d", n%20)
		put(t, s, key, value(n))
		if n%7 == 0 {
			if _, err := s.Client().KV.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		most = max(most, s.usage().file)
		if n%(testQuota/looks/len(value(0))) == 0 {
			await(t, "a compaction makes room", func() bool { return look().inUse < testQuota/4*3 })
		}
	}
	t.Logf("%d MB written, the file took at most %d of %d MB", times*testQuota>>20, most>>20, testQuota>>20)
	if most >= testQuota {
		t.Errorf("the file grew to %d bytes, the quota is %d", most, testQuota)
	}
	if s.isFull() || strings.Contains(log.String(), "the store is full") {
		t.Errorf("the store got full:\n%s", log)
	}
}

// fill writes until the store refuses, and returns the number of writes.
func fill(t *testing.T, s *Store, key func(n int) string) int {
	t.Helper()
	for n := range 10 * testQuota / len(value(0)) {
		_, err := s.Client().KV.Put(t.Context(), key(n), value(n))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("ten times the quota was taken")
	return 0
}

// await polls, since a store does not announce its maintenance.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	for tick := time.Tick(testInterval); !is(); {
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatalf("waiting until %s", what)
		}
	}
}

func TestFullOfHistoryRecovers(t *testing.T) {
	s, log := small(t)
	last := fill(t, s, func(int) string { return "/registry/a" }) - 1
	if !s.isFull() {
		t.Fatal("a store that refuses writes does not say that it is full")
	}
	kept(t, s)
	await(t, "the store has room again", func() bool { return !s.isFull() })
	got, _ := entries(t, s)
	if got["/registry/a"].value != value(last) {
		t.Error("the value that was acknowledged last is lost")
	}
	put(t, s, "/registry/b", "1")
	for _, want := range []string{"the store is full and refuses writes", "the store has free space again"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log does not say once %q:\n%s", want, log)
		}
	}
}

func TestFullOfObjectsReportsAndRecovers(t *testing.T) {
	s, log := small(t)
	taken := fill(t, s, func(n int) string { return fmt.Sprintf("/registry/pods/%d", n) })
	kept(t, s)
	await(t, "the log tells", func() bool { return strings.Contains(log.String(), "delete some") })
	for n := range taken / 2 { // as the API server deletes: if it is still what was read
		key := fmt.Sprintf("/registry/pods/%d", n)
		_, err := s.Client().KV.Txn(t.Context()).If(clientv3.Compare(clientv3.Version(key), "=",
			1)).Then(clientv3.OpDelete(key)).Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			t.Fatalf("a full store refuses to delete: %v", err)
		}
	}
	await(t, "the store has room again", func() bool { return !s.isFull() })
	put(t, s, "/registry/b", "1")
	if got, _ := entries(t, s); len(got) != taken-taken/2+1 {
		t.Errorf("%d keys are left of %d, half of which were deleted", len(got), taken)
	}
}

func TestSizing(t *testing.T) {
	const quota = 1000 << 20
	start := time.Unix(0, 0)
	mb := func(file, inUse int64) usage { return usage{file: file << 20, inUse: inUse << 20} }
	type look struct {
		after            time.Duration // since the start
		used             usage
		compact, rewrite string
	}
	for name, looks := range map[string][]look{
		"idle": {{time.Second, mb(1, 1), "", ""}, {5 * time.Minute, mb(1, 1), "interval", ""}, {9 * time.Minute, mb(1, 1), "",
			""},
			{10 * time.Minute, mb(1, 1), "interval", ""}, {15 * time.Minute, mb(1, 1), "interval", ""}},
		"a cluster elsewhere": {{5 * time.Minute, usage{}, "interval", ""}, {15 * time.Minute, usage{},
			"interval", ""}},
		"much in use, but not growing": {{time.Second, mb(600, 600), "", ""}, {2 * time.Second, mb(600, 600), "", ""}},
		"growing, but little in use":   {{time.Second, mb(100, 100), "", ""}, {2 * time.Second, mb(450, 450), "", ""}},
		"growing beyond half of the quota": {{time.Second, mb(450, 450), "", ""}, {2 * time.Second, mb(560, 560), "growth",
			""}, {3 * time.Second, mb(570, 570), "", ""}, {4 * time.Second, mb(670, 670), "growth", ""}},
		"close to the quota":          {{time.Second, mb(800, 300), "", "close to the quota"}},
		"close, but all of it in use": {{time.Second, mb(800, 790), "", ""}},
		"unused for long": {{14 * time.Minute, mb(400, 10), "interval", ""}, {16 * time.Minute, mb(400, 10),
			"", "waste"}, {18 * time.Minute, mb(400, 10), "", ""}},
		"unused now, but needed before": {{14 * time.Minute, mb(400, 390), "interval", ""}, {16 * time.Minute, mb(400, 10),
			"", ""}, {32 * time.Minute, mb(400, 10), "interval", "waste"}},
		"unused, but too little": {{16 * time.Minute, mb(60, 1), "interval", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSizing(quota, start)
			for _, l := range looks {
				now := start.Add(l.after)
				if got := s.compaction(now, l.used); got != l.compact {
					t.Errorf("after %s: compaction %q, want %q", l.after, got, l.compact)
				}
				if got := s.defragmentation(now, l.used); got != l.rewrite {
					t.Errorf("after %s: defragmentation %q, want %q", l.after, got, l.rewrite)
				}
			}
		})
	}
}

// Of two servers over one store one compacts at each interval, and each write keeps a whole interval of history.
func TestOneOfTwoCompacts(t *testing.T) {
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "etcd")})
	servers := []*keeper{{store: s}, {store: s}}
	interval := func() {
		for _, k := range servers {
			if err := k.compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	readable := func(revision int64) bool {
		_, err := s.Client().KV.Get(t.Context(), "/registry/a", clientv3.WithRev(revision))
		if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			t.Fatal(err)
		}
		return err == nil
	}
	put(t, s, "/registry/a", "0")
	interval()
	written := put(t, s, "/registry/a", "1")
	put(t, s, "/registry/a", "2")
	interval()
	if !readable(written) {
		t.Error("what was written in the last interval is gone at its end")
	}
	interval()
	interval()
	if readable(written) {
		t.Error("what was written three intervals ago still has its history")
	}
}
