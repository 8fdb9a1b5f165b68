// Package healthcheck asks, again and again, whether the addresses that people wrote behind Services answer. One
// question is put for all who want to know the same; the questions are spread over time. It must not know what a
// Service is, nor decide what an answer means for one.
package healthcheck

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/annotations"
	"viaduct/internal/prober"
)

// A Target is one address and port, and how it is asked. The Port of the Check means nothing here.
type Target struct {
	Addr  netip.AddrPort
	Check annotations.Check
}

// A Status is what is known of a Target.
type Status struct {
	Up    bool
	Known bool      // false: Up is what it was said to be when it was first wanted, and no answer has confirmed it
	Since time.Time // since when Up is so; zero: not since it is asked
	Cause string    // what the last answer said, if it was bad
}

// Options say how a Checker works.
type Options struct {
	// Changed is told, in the order of the changes of a Target, that it is up or down now, and who wants to know; and once
	// when a Target is found to be as it was said to be: then Since is zero.
	Changed func(owners []types.NamespacedName, target Target, status Status)
	// questions at once; 0: 1024. With more than these without an answer, intervals become longer.
	Concurrency int
	// questions a second; 0: 2000, which take less than a twentieth of a core. With more addresses, intervals become
	// longer.
	Rate int
	Log  *slog.Logger // nil: no logs
}

// A Checker asks about what it is told to Want, while it Runs.
type Checker struct {
	opts      Options
	questions *questions
	metrics   *metrics
	wake      chan struct{}

	mu      sync.Mutex // protects the following
	entries map[Target]*entry
	wants   map[types.NamespacedName]map[Target]bool
	due     queue
	asking  int
	next    time.Time     // when Run looks again
	told    time.Duration // the shortest interval that was told
}

// entry is one Target.
type entry struct {
	target Target
	ask    question
	owners map[types.NamespacedName]bool
	course course
	at     time.Time // when it is asked next
	index  int       // in the queue; -1: not there, for it is being asked
	known  bool      // an answer agreed with course
	gone   bool
}

// New makes a Checker; Run starts it.
func New(opts Options) *Checker {
	if opts.Concurrency <= 0 {
		opts.Concurrency = 1024
	}
	if opts.Rate <= 0 {
		opts.Rate = 2000
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Checker{
		opts: opts, questions: newQuestions(), metrics: newMetrics(), wake: make(chan struct{}, 1),
		entries: map[Target]*entry{}, wants: map[types.NamespacedName]map[Target]bool{},
	}
}

// Want says all that owner wants to know about; nil is nothing. The values are whether a Target counts as up until it
// is asked: they mean something only for one that nobody wanted before.
func (c *Checker) Want(owner types.NamespacedName, targets map[Target]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.wants[owner] {
		if _, still := targets[t]; !still {
			c.drop(owner, t)
		}
	}
	if len(targets) == 0 {
		delete(c.wants, owner)
		return
	}
	held := make(map[Target]bool, len(targets))
	for t, up := range targets {
		held[t] = true
		c.add(owner, t, up)
	}
	c.wants[owner] = held
	if least := c.least(); least > c.told*2 && least > annotations.DefaultInterval {
		c.told = least
		c.opts.Log.Warn("so many addresses are checked that each is asked less often", "addresses", len(c.entries),
			"interval", least, "questions_per_second", c.opts.Rate)
	}
	c.rouse()
}

// add and drop are called with c.mu held.
func (c *Checker) add(owner types.NamespacedName, t Target, up bool) {
	e := c.entries[t]
	if e == nil {
		// As many as there are, so wide they are spread: a lone one is asked at once.
		spread := min(t.Check.Interval, time.Duration(len(c.entries))*200*time.Microsecond)
		e = &entry{target: t, ask: c.questions.of(t), owners: map[types.NamespacedName]bool{}, course: begin(up),
			at: time.Now().Add(rand.N(spread + 1))}
		c.entries[t] = e
		heap.Push(&c.due, e)
	}
	e.owners[owner] = true
}

func (c *Checker) drop(owner types.NamespacedName, t Target) {
	e := c.entries[t]
	delete(e.owners, owner)
	if len(e.owners) > 0 {
		return
	}
	e.gone = true
	delete(c.entries, t)
	if e.index >= 0 {
		heap.Remove(&c.due, e.index)
	}
}

// Status is what is known of t; false if nobody wants to know.
func (c *Checker) Status(t Target) (Status, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[t]
	if e == nil {
		return Status{}, false
	}
	return e.status(), true
}

func (e *entry) status() Status {
	return Status{Up: e.course.state.Up, Known: e.known, Since: e.course.since, Cause: e.course.cause}
}

// Run asks until ctx ends, and returns once no question is under way.
func (c *Checker) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(c.begin(ctx, &asking))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.wake:
		}
	}
	return nil
}

const (
	// idle is how long to sleep when there is nothing to ask; a Want wakes.
	idle = time.Hour
	// beat is the least time between two looks: what is due by then is asked together, which costs a fraction of one after
	// the other.
	beat = 10 * time.Millisecond
)

// begin puts the questions that are due, and returns how long to sleep.
func (c *Checker) begin(ctx context.Context, asking *sync.WaitGroup) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := idle
	var batch []*entry
	for now := time.Now(); len(c.due) > 0 && c.asking < c.opts.Concurrency; {
		e := c.due[0]
		if e.at.After(now) {
			wait = max(e.at.Sub(now), beat)
			break
		}
		heap.Pop(&c.due)
		c.asking++
		batch = append(batch, e)
	}
	if len(batch) > 0 {
		asking.Go(func() { c.putAll(ctx, batch, asking) })
	}
	c.next = time.Now().Add(wait)
	return wait
}

// putAll puts questions, and takes note of the answers that are there at once. For the others somebody waits.
func (c *Checker) putAll(ctx context.Context, batch []*entry, asking *sync.WaitGroup) {
	for _, e := range batch {
		began := time.Now()
		c.metrics.late.Observe(began.Sub(e.at).Seconds())
		answer, later := e.ask()
		if later == nil {
			c.take(ctx, e, answer, began)
			continue
		}
		asking.Go(func() {
			waiting, cancel := context.WithDeadline(ctx, began.Add(e.target.Check.Timeout))
			defer cancel()
			c.take(ctx, e, later(waiting), began)
		})
	}
}

// take takes note of the answer to a question that was put at began.
func (c *Checker) take(ctx context.Context, e *entry, answer prober.Answer, began time.Time) {
	if ctx.Err() != nil {
		return // it may be why there was no answer
	}
	c.metrics.note(e.target.Check.Kind, answer, time.Since(began))
	if owners, status := c.note(e, answer, began); owners != nil {
		if !status.Since.IsZero() {
			c.opts.Log.Info("an address that is checked changed", "address", e.target.Addr, "check", e.target.Check.String(),
				"up", status.Up, "cause", status.Cause)
		}
		c.opts.Changed(owners, e.target, status)
		c.requeue(e)
	}
}

// note counts an answer to a question that was put at began. It returns who is to be told if it is news, and then
// leaves e out of the queue: the next answer is not to overtake this one.
func (c *Checker) note(e *entry, answer prober.Answer, began time.Time) ([]types.NamespacedName, Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking--
	if e.gone {
		c.push(e)
		return nil, Status{}
	}
	news := false
	wait := e.target.Check.Interval
	if answer.Verdict != prober.Unknown {
		e.course, news = e.course.observe(time.Now(), answer.Verdict == prober.Good, causeOf(answer), e.target.Check)
		news = news || !e.known && e.course.good() == e.course.state.Up
		e.known = e.known || news
		wait = e.course.next(e.target.Check)
	}
	if wait >= e.target.Check.Interval { // what confirms an answer is not put off
		wait = max(wait, c.least())
	}
	e.at = began.Add(wait - wait/20 + rand.N(wait/20+1)) // never later than asked for
	if !news {
		c.push(e)
		return nil, Status{}
	}
	var owners []types.NamespacedName
	for o := range e.owners {
		owners = append(owners, o)
	}
	return owners, e.status()
}

// least is the shortest interval at which all can be asked within the Rate. c.mu is held.
func (c *Checker) least() time.Duration {
	return time.Duration(len(c.entries)) * time.Second / time.Duration(c.opts.Rate)
}

func (c *Checker) requeue(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(e)
}

// push puts e back into the queue, if it is still wanted, and wakes Run if it sleeps for too long. c.mu is held.
func (c *Checker) push(e *entry) {
	if !e.gone {
		heap.Push(&c.due, e)
	}
	if len(c.due) > 0 && c.due[0].at.Before(c.next) && (c.due[0] == e || c.asking == c.opts.Concurrency-1) {
		c.rouse()
	}
}

// causeOf is what a bad answer says; "" of a good one.
func causeOf(answer prober.Answer) string {
	switch {
	case answer.Verdict == prober.Good:
		return ""
	case answer.Output == "":
		return "bad answer"
	}
	return answer.Output
}

// rouse has Run look again.
func (c *Checker) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// queue is a heap of entries, the one to be asked next first.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	e.index = -1
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
