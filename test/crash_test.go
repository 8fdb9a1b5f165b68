package test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// crashRounds is the variable that says how often TestCrashes kills the server.
const crashRounds = "VIADUCT_CRASH_ROUNDS"

// TestCrashes kills a server with SIGKILL again and again while it is written to, each time at another moment: every
// write that it acknowledged must be there at the next start, no object may be half of one write and half of another,
// and revisions must go on.
//
// It is 15 rounds; $VIADUCT_CRASH_ROUNDS=200 is the long run.
func TestCrashes(t *testing.T) {
	t.Parallel()
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	if text := os.Getenv(crashRounds); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", crashRounds, err)
		}
	}
	h := newHost(t)
	book := newLedger(8)
	var starts []time.Duration
	for round := range rounds {
		begin := time.Now()
		server := h.startServer()
		starts = append(starts, time.Since(begin))
		book.audit(t, h.client())
		book.writeUntilKilled(t, h.client(), server)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	last := h.startServer()
	book.audit(t, h.client())
	h.stop(last)
	slices.Sort(starts)
	t.Logf("%d kills, %d acknowledged writes, all there; starts took %s, at most %s",
		rounds, book.written(), starts[len(starts)/2].Round(time.Millisecond), starts[len(starts)-1].Round(time.Millisecond))
}

// A ledger knows what is certain about the objects of a load: what was acknowledged, and what may have been written
// besides.
type ledger struct {
	accounts []*account
	revision int64 // the highest that any answer named
}

// An account is one ConfigMap, which one writer at a time changes.
type account struct {
	name         string
	acknowledged state
	attempted    []state // since then, with no answer
	writes       int
	revision     int64 // of the last answer
	version      string
}

// state is what an account holds: the number of the write, or nothing.
type state struct {
	there bool
	n     int
}

func newLedger(accounts int) *ledger {
	book := &ledger{}
	for i := range accounts {
		book.accounts = append(book.accounts, &account{name: fmt.Sprintf("account-%d", i)})
	}
	return book
}

func (b *ledger) written() (n int) {
	for _, a := range b.accounts {
		n += a.writes
	}
	return n
}

// contents are what write n stores: some kilobytes in two parts that belong together.
func contents(n int) map[string]string {
	body := strings.Repeat(fmt.Sprintf("%x", sha256.Sum256([]byte(strconv.Itoa(n)))), 1+n%40)
	return map[string]string{"n": strconv.Itoa(n), "body": body}
}

// writeUntilKilled writes to all accounts at once, and kills the server after a random number of writes.
func (b *ledger) writeUntilKilled(t *testing.T, client kubernetes.Interface, server *running) {
	t.Helper()
	due := 1 + rand.IntN(250)
	n := 0
	b.writeUntilRefused(t, client, func() {
		if n++; n == due {
			server.signal(syscall.SIGKILL)
		}
	})
	if code := server.wait(); code != -1 || n < due {
		t.Fatalf("exit %d after %d writes, want the kill after %d:\n%s", code, n, due, server.out.text())
	}
}

// writeUntilRefused writes to all accounts at once, to each until a write is not acknowledged. acknowledged is called
// after each that is.
func (b *ledger) writeUntilRefused(t *testing.T, client kubernetes.Interface, acknowledged func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	written := make(chan struct{})
	var writers sync.WaitGroup
	for _, a := range b.accounts {
		writers.Go(func() {
			for ctx.Err() == nil && a.write(ctx, client) == nil {
				written <- struct{}{}
			}
		})
	}
	go func() {
		writers.Wait()
		close(written)
	}()
	for range written {
		acknowledged()
	}
	for _, a := range b.accounts {
		b.revision = max(b.revision, a.revision)
	}
}

// write makes one change: it creates, replaces or deletes. The account then has one certain state again, unless there
// was no answer.
func (a *account) write(ctx context.Context, client kubernetes.Interface) error {
	api := client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	next := state{there: true, n: a.acknowledged.n + 1}
	if a.acknowledged.there && next.n%10 == 0 {
		next.there = false
	}
	a.attempted = append(a.attempted, next)
	var answer *v1.ConfigMap
	var err error
	obj := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: a.name, ResourceVersion: a.version}, Data: contents(next.n)}
	switch {
	case !next.there:
		err = api.Delete(ctx, a.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &a.version}})
	case !a.acknowledged.there:
		obj.ResourceVersion = ""
		answer, err = api.Create(ctx, obj, metav1.CreateOptions{})
	default:
		answer, err = api.Update(ctx, obj, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	a.settle(next)
	a.writes++
	if answer != nil {
		return a.note(answer)
	}
	return nil
}

func (a *account) settle(s state) { a.acknowledged, a.attempted = s, nil }

// note remembers an answer's revision, which must be higher than all before.
func (a *account) note(answer *v1.ConfigMap) error {
	revision, err := strconv.ParseInt(answer.ResourceVersion, 10, 64)
	if err != nil {
		return err
	}
	if revision <= a.revision {
		return fmt.Errorf("%s: a write was answered with revision %d after %d", a.name, revision, a.revision)
	}
	a.revision, a.version = revision, answer.ResourceVersion
	return nil
}

// audit compares what a server that was started again has with what is certain, and takes what it found of the
// uncertain for certain.
func (b *ledger) audit(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	list, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if now := revisionOf(t, list.ResourceVersion); now < b.revision {
		t.Errorf("the store is at revision %d, and has answered with %d", now, b.revision)
	}
	found := map[string]*v1.ConfigMap{}
	for i := range list.Items {
		found[list.Items[i].Name] = &list.Items[i]
	}
	for _, a := range b.accounts {
		if err := a.audit(found[a.name]); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
	}
}

func (a *account) audit(found *v1.ConfigMap) error {
	now := state{n: a.acknowledged.n}
	if found != nil {
		n, err := strconv.Atoi(found.Data["n"])
		if err != nil {
			return fmt.Errorf("holds %q", found.Data["n"])
		}
		if want := contents(n); found.Data["body"] != want["body"] || len(found.Data) != len(want) {
			return errors.New("holds half of one write and half of another")
		}
		now = state{there: true, n: n}
	}
	same := func(s state) bool { return s.there == now.there && (!s.there || s.n == now.n) }
	if i := slices.IndexFunc(a.attempted, same); i >= 0 {
		a.settle(a.attempted[i])
	} else if !same(a.acknowledged) {
		return fmt.Errorf("%+v was acknowledged and %+v attempted, but it is %+v", a.acknowledged, a.attempted, now)
	} // else what was attempted may still be on its way, and is of no effect after the next write that is answered
	if found != nil {
		a.version = found.ResourceVersion
	}
	return nil
}
