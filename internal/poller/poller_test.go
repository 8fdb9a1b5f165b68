package poller

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counter is a state that counts the polls of a target.
type counter struct{ polls int }

// begin makes a state that is due at once.
func begin(string) (counter, time.Time) { return counter{}, time.Now() }

// after is an Update that counts a poll, and makes the target due after wait.
func after(wait time.Duration, changed bool) Update[counter] {
	return func(s *counter) (time.Time, bool) {
		s.polls++
		return time.Now().Add(wait), changed
	}
}

// run runs p until the returned function is called, which checks that Run ended without an error.
func run(t *testing.T, p *Poller[string, string, counter]) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func set(p *Poller[string, string, counter], owner string, targets ...string) {
	p.Set(owner, slices.Values(targets), begin)
}

func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options[string, string, counter]{Concurrency: 1,
			Poll: func(context.Context, Poll[string, counter]) (Update[counter], func(context.Context) Update[counter]) {
				return after(time.Second, false), nil
			}})
		stop := run(t, p)
		defer stop()
		set(p, "owner", "a")
		set(p, "other", "a", "b")
		time.Sleep(10*time.Second + time.Second/2)
		for _, target := range []string{"a", "b"} {
			if s, ok := p.State(target); !ok || s.polls != 11 {
				t.Errorf("%s was polled %d times in 10.5 s, want 11", target, s.polls)
			}
		}
		set(p, "other")
		if _, ok := p.State("b"); ok || p.Len() != 1 {
			t.Errorf("b has a state without an owner, or Len is %d and not 1", p.Len())
		}
	})
}

// Changes go to all owners, and a target is not polled again while one is reported.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported [][]string
		release := make(chan bool)
		var p *Poller[string, string, counter]
		p = New(Options[string, string, counter]{Concurrency: 8,
			Poll: func(context.Context, Poll[string, counter]) (Update[counter], func(context.Context) Update[counter]) {
				return nil, func(context.Context) Update[counter] { return after(time.Second, true) }
			},
			Changed: func(owners []string, target string, s counter) {
				if now, ok := p.State(target); !ok || now != s {
					t.Errorf("Changed reports %v, State %v", s, now)
				}
				reported = append(reported, slices.Sorted(slices.Values(owners)))
				<-release
			}})
		set(p, "one", "a")
		set(p, "two", "a")
		stop := run(t, p)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(reported) != 1 || !slices.Equal(reported[0], []string{"one", "two"}) {
			t.Errorf("while the first report is under way: %v", reported)
		}
		release <- true
		synctest.Wait()
		if len(reported) != 2 {
			t.Errorf("after it: %d reports, want 2", len(reported))
		}
		close(release)
		stop()
	})
}

// No more polls are in flight than Concurrency allows, and every target gets its turn.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		inFlight, most := 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			inFlight += n
			most = max(most, inFlight)
		}
		p := New(Options[string, string, counter]{Concurrency: 3,
			Poll: func(context.Context, Poll[string, counter]) (Update[counter], func(context.Context) Update[counter]) {
				count(1)
				return nil, func(context.Context) Update[counter] {
					time.Sleep(time.Second)
					count(-1)
					return after(time.Hour, false)
				}
			}})
		var targets []string
		for i := range 30 {
			targets = append(targets, fmt.Sprint(i))
		}
		set(p, "owner", targets...)
		stop := run(t, p)
		defer stop()
		time.Sleep(11 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if most != 3 {
			t.Errorf("%d polls were in flight, want 3", most)
		}
		for target, s := range p.All() {
			if s.polls != 1 {
				t.Errorf("%s was polled %d times, want once", target, s.polls)
			}
		}
	})
}

// The result of a poll that ctx ended is discarded, and the target is polled by the next Run.
func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options[string, string, counter]{Concurrency: 1,
			Poll: func(context.Context, Poll[string, counter]) (Update[counter], func(context.Context) Update[counter]) {
				return nil, func(ctx context.Context) Update[counter] {
					select {
					case <-ctx.Done():
					case <-time.After(time.Second):
					}
					return after(time.Hour, false)
				}
			}})
		set(p, "owner", "a")
		stop := run(t, p)
		synctest.Wait()
		stop()
		if s, _ := p.State("a"); s.polls != 0 {
			t.Errorf("the result of a poll that was cut off counts")
		}
		stop = run(t, p)
		defer stop()
		time.Sleep(2 * time.Second)
		if s, _ := p.State("a"); s.polls != 1 {
			t.Errorf("the second Run polled %d times, want once", s.polls)
		}
	})
}

// FuzzOwners changes owners and targets at random while polls are in flight, and compares the Poller with a plain map.
func FuzzOwners(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { compareWithMap(t, rand.New(rand.NewPCG(seed, 0))) })
	})
}

func compareWithMap(t *testing.T, r *rand.Rand) {
	want := map[string]map[string]bool{} // owner → targets
	const slow = 100 * time.Millisecond
	p := New(Options[string, string, counter]{Concurrency: 4, Changed: func([]string, string, counter) {},
		Poll: func(_ context.Context, p Poll[string, counter]) (Update[counter], func(context.Context) Update[counter]) {
			if p.Target < "d" {
				return after(slow, true), nil
			}
			return nil, func(context.Context) Update[counter] {
				time.Sleep(slow)
				return after(slow, true)
			}
		}})
	stop := run(t, p)
	defer stop()
	for range 200 {
		owner, targets := fmt.Sprint(r.IntN(4)), map[string]bool{}
		for range r.IntN(4) {
			targets[string(rune('a'+r.IntN(6)))] = true
		}
		want[owner] = targets
		p.Set(owner, maps.Keys(targets), begin)
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
	}
	time.Sleep(time.Minute)
	all := map[string]bool{}
	for _, targets := range want {
		maps.Copy(all, targets)
	}
	for target := range all {
		if s, ok := p.State(target); !ok || s.polls < 100 {
			t.Errorf("%s was polled %d times in a minute", target, s.polls)
		}
	}
	if p.Len() != len(all) {
		t.Errorf("%d targets, want %d", p.Len(), len(all))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if queued := len(p.due) + p.inFlight; queued != len(all) || len(p.entries) != len(all) {
		t.Errorf("%d queued or in flight and %d entries, want %d", queued, len(p.entries), len(all))
	}
}

func BenchmarkPoll(b *testing.B) {
	polled := make(chan bool, 1024)
	p := New(Options[string, int, counter]{Concurrency: 1024,
		Poll: func(context.Context, Poll[int, counter]) (Update[counter], func(context.Context) Update[counter]) {
			return func(*counter) (time.Time, bool) {
				polled <- true
				return time.Now(), false
			}, nil
		}})
	p.Set("owner", func(yield func(int) bool) {
		for i := range 10_000 {
			if !yield(i) {
				return
			}
		}
	}, func(int) (counter, time.Time) { return counter{}, time.Now() })
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for b.Loop() {
		<-polled
	}
	cancel()
	for {
		select {
		case <-polled:
		case <-done:
			return
		}
	}
}
