package leader

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"viaduct/internal/apiserver/apitest"
)

const testTime = time.Minute // far more than anything here takes

func lease() types.NamespacedName {
	return types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: "test"}
}

// slow are times in which nothing but a watch or a release can make a difference to a test.
func slow() Times { return Times{Lease: time.Hour, Renew: 50 * time.Minute, Retry: 30 * time.Minute} }

// journal collects what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// worker is a candidate and what became of it.
type worker struct {
	*Candidate
	log     *journal
	leading chan struct{} // one for every time that it begins to work
	finish  chan struct{} // its work ends only once this is closed
	ended   chan error
	stop    context.CancelFunc
}

// candidate runs one candidate. The arena fails the test if two of its candidates work at once.
func candidate(t *testing.T, client kubernetes.Interface, name string, times Times, a *arena) *worker {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &worker{log: &journal{}, leading: make(chan struct{}, 8), finish: make(chan struct{}), ended: make(chan error, 1),
		stop: stop}
	w.Candidate = New(client, lease(), name, times, slog.New(slog.NewTextHandler(w.log, nil)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ended <- w.Run(ctx, func(ctx context.Context) error {
			a.enter(t, name)
			defer a.leave()
			w.leading <- struct{}{}
			<-ctx.Done()
			<-w.finish
			return ctx.Err()
		})
	}()
	t.Cleanup(func() {
		stop()
		w.letFinish()
		<-done
	})
	return w
}

func (w *worker) letFinish() {
	select {
	case <-w.finish:
	default:
		close(w.finish)
	}
}

// An arena knows which candidate works.
type arena struct {
	mu sync.Mutex
	in string // guarded by mu
}

func (a *arena) enter(t *testing.T, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.in != "" {
		t.Errorf("%s begins to work while %s does", name, a.in)
	}
	a.in = name
}

func (a *arena) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.in = ""
}

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testTime):
		t.Fatalf("waiting in vain until %s", what)
		panic("unreachable")
	}
}

// awaitHolder waits until w has seen who holds the Lease.
func awaitHolder(t *testing.T, w *worker, want string) {
	t.Helper()
	deadline := time.After(testTime)
	for tick := time.Tick(time.Millisecond); ; {
		if holder, _ := w.Holder(); holder == want {
			return
		}
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("waiting in vain until %q holds the lease", want)
		}
	}
}

// The next leader follows at once, though it would look again only in half an hour; and not before the work of the
// first has ended.
func TestHandOver(t *testing.T) {
	client := apitest.Start(t).Client(t)
	var a arena
	first := candidate(t, client, "first", slow(), &a)
	await(t, "the first leads", first.leading)
	second := candidate(t, client, "second", slow(), &a)
	awaitHolder(t, second, "first")
	first.stop()
	got, err := client.CoordinationV1().Leases(lease().Namespace).Get(t.Context(), lease().Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *got.Spec.HolderIdentity != "first" {
		t.Errorf("%q holds the lease while the first still works", *got.Spec.HolderIdentity)
	}
	first.letFinish()
	if err := await(t, "the first has ended", first.ended); err != nil {
		t.Errorf("a clean stop ends with %v", err)
	}
	await(t, "the second leads", second.leading)
	if holder, self := second.Holder(); holder != "second" && holder != "" || holder == "second" && !self {
		t.Errorf("the second sees that %q holds the lease (itself: %v)", holder, self)
	}
}

// A standby that is stopped never worked, and leaves the Lease alone.
func TestStandbyStops(t *testing.T) {
	client := apitest.Start(t).Client(t)
	var a arena
	first := candidate(t, client, "first", slow(), &a)
	await(t, "the first leads", first.leading)
	second := candidate(t, client, "second", slow(), &a)
	awaitHolder(t, second, "first")
	second.stop()
	if err := await(t, "the second has ended", second.ended); err != nil {
		t.Error(err)
	}
	awaitHolder(t, first, "first")
	if len(second.leading) > 0 {
		t.Error("the standby worked")
	}
}

// A leader that dies says nothing: its Lease runs out.
func TestLeaderDies(t *testing.T) {
	client := apitest.Start(t).Client(t)
	times := Times{Lease: time.Second, Renew: 500 * time.Millisecond, Retry: 50 * time.Millisecond}
	dead := New(client, lease(), "dead", times, slog.New(slog.DiscardHandler))
	if err := dead.lock().Create(t.Context(), record("dead")); err != nil {
		t.Fatal(err)
	}
	var a arena
	next := candidate(t, client, "next", times, &a)
	await(t, "the next leads", next.leading)
}

// A leader that loses its Lease stops working, and works again when it is free.
func TestLeaseLost(t *testing.T) {
	client := apitest.Start(t).Client(t)
	var a arena
	times := Times{Lease: time.Second, Renew: 300 * time.Millisecond, Retry: 20 * time.Millisecond}
	w := candidate(t, client, "w", times, &a)
	w.letFinish()
	await(t, "it leads", w.leading)
	robber := New(client, lease(), "robber", times, slog.New(slog.DiscardHandler)).lock()
	if _, _, err := robber.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	for err := errors.New("not yet"); err != nil; { // against its renewals
		if _, _, err = robber.Get(t.Context()); err == nil {
			err = robber.Update(t.Context(), record("robber"))
		}
	}
	await(t, "it leads again, after the robber has not renewed", w.leading)
	if n := strings.Count(w.log.String(), "no longer leading"); n != 1 {
		t.Errorf("it stopped %d times, want once:\n%s", n, w.log)
	}
}

func TestWorkFails(t *testing.T) {
	client := apitest.Start(t).Client(t)
	c := New(client, lease(), "c", slow(), slog.New(slog.DiscardHandler))
	broken := errors.New("broken")
	if err := c.Run(t.Context(), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("the error is %v, want %v", err, broken)
	}
	if err := c.Run(t.Context(), func(context.Context) error { return nil }); err == nil {
		t.Error("work that ends by itself is no error")
	}
}

// Without its namespace a Lease cannot be created, which only the log shows. Each attempt fails, and the error is
// logged once.
func TestNoNamespace(t *testing.T) {
	client := apitest.Start(t).Client(t)
	log := &journal{}
	c := New(client, types.NamespacedName{Namespace: "nowhere", Name: "test"}, "c", slow(),
		slog.New(slog.NewTextHandler(log, nil)))
	l := c.lock()
	for range 2 {
		if err := l.Create(t.Context(), record("c")); err == nil {
			t.Fatal("a lease was made in a namespace that does not exist")
		}
	}
	if n := strings.Count(log.String(), `namespaces \"nowhere\" not found`); n != 1 {
		t.Errorf("it is logged %d times, want once:\n%s", n, log)
	}
}

func TestTimes(t *testing.T) {
	for name, c := range map[string]struct {
		times Times
		want  string
	}{
		"upstream's":         {DefaultTimes(), ""},
		"no retry":           {Times{Lease: 15 * time.Second, Renew: 10 * time.Second}, "the retry period is 0s"},
		"a lease of nothing": {Times{Lease: time.Millisecond, Renew: 1, Retry: 1}, "it must be at least 1s"},
		"renewed too late": {Times{Lease: 10 * time.Second, Renew: 10 * time.Second, Retry: time.Second},
			"it must be more than the renew deadline, 10s"},
		"retried too seldom": {Times{Lease: 15 * time.Second, Renew: 10 * time.Second, Retry: 9 * time.Second},
			"it must be more than 1.2 times the retry period, 9s"},
		"slow, but consistent": {slow(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := c.times.Check(); err != nil {
				got = err.Error()
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("the error is %q, want %q", got, c.want)
			}
		})
	}
}

func record(holder string) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaseDurationSeconds: 1, AcquireTime: metav1.Now(),
		RenewTime: metav1.Now()}
}
