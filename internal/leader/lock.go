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

// lock is the Lease as client-go's leaderelection uses it. It logs errors that leaderelection would retry in silence.
type lock struct {
	resourcelock.Interface
	log *slog.Logger

	mu       sync.Mutex
	reported string // guarded by mu: the error logged last; empty: the last request succeeded
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
		return record, raw, err // leaderelection creates it then
	}
	return record, raw, l.report(ctx, err)
}

func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.report(ctx, l.Interface.Create(ctx, record))
}

func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.report(ctx, l.Interface.Update(ctx, record))
}

// report logs an error, once until it changes. It is no error that another candidate was faster.
func (l *lock) report(ctx context.Context, err error) error {
	text := ""
	if err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		text = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if text != "" && text != l.reported {
		l.log.Warn("requesting the lease, will try again", "err", err)
	}
	l.reported = text
	return err
}

// releaseTimeout bounds the release of a Lease. A Lease that is not released expires.
const releaseTimeout = 5 * time.Second

// release gives up the Lease, if this candidate holds it. Otherwise the next leader would wait until it expires.
func (c *Candidate) release(ctx context.Context, l *lock) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	record, _, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != c.identity {
		return
	}
	if err == nil {
		record.HolderIdentity = ""
		record.LeaseDurationSeconds = 1 // the minimum of the API
		record.RenewTime = metav1.Now()
		err = l.Interface.Update(ctx, *record)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		c.log.Warn("releasing the lease; the next leader waits until it expires", "err", err)
	}
}
