package leader

import (
	"context"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock is the Lease as the library wants it. It tells what the library would only try again.
type lock struct {
	resourcelock.Interface
	log *slog.Logger

	mu   sync.Mutex // protects said
	said string     // what was told last; "" once it went well again
}

func (c *Candidate) lock() *lock {
	return &lock{log: c.log, Interface: &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: c.lease.Namespace, Name: c.lease.Name},
		Client:    c.client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: c.identity},
	}}
}

func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if apierrors.IsNotFound(err) {
		return record, raw, err // it is made then
	}
	return record, raw, l.tell(ctx, err)
}

func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.tell(ctx, l.Interface.Create(ctx, record))
}

func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.tell(ctx, l.Interface.Update(ctx, record))
}

// tell logs an error when it is first met. That somebody else was faster is none.
func (l *lock) tell(ctx context.Context, err error) error {
	text := ""
	if err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		text = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if text != "" && text != l.said {
		l.log.Warn("asking for the lease; it is tried again", "err", err)
	}
	l.said = text
	return err
}

// releaseTimeout is how long a Lease is tried to be given up; after it, it runs out.
const releaseTimeout = 5 * time.Second

// release gives the Lease up, if this candidate has it, so that the next one need not wait until it runs out.
func (c *Candidate) release(ctx context.Context, l *lock) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	record, _, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != c.identity {
		return
	}
	if err == nil {
		record.HolderIdentity = ""
		record.LeaseDurationSeconds = 1 // the least that the API takes
		record.RenewTime = metav1.Now()
		err = l.Interface.Update(ctx, *record)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		c.log.Warn("giving up the lease; the next leader waits until it runs out", "err", err)
	}
}
