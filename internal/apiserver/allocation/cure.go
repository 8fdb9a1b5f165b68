package allocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// cureAll does something about each finding, several at once.
func cureAll[K comparable](ctx context.Context, p *pass, r records[K], found []finding[K]) error {
	var (
		group sync.WaitGroup
		slots = make(chan struct{}, curesAtOnce)
		mu    sync.Mutex // guards errs
		errs  []error
	)
	for _, f := range found {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := cureOne(ctx, p, r, f); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s of %v: %w", f.reason, f.key, err))
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// cureOne does what the finding calls for, and tells of it if it was done. The snapshot is old by now: each step asks
// the store again.
func cureOne[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) error {
	what := fmt.Sprint(f.key)
	if f.cure != report && f.cure != claim && !p.isSure(what, f.version) {
		return nil
	}
	var (
		done    = true
		err     error
		message string
	)
	switch f.cure {
	case report:
		message = "cannot be had by this service: it is outside of every range, or another's; please recreate the service"
	case claim:
		message = "was not recorded as this service's; it is now"
		done, err = makeRecord(ctx, p, r, f)
	case replace:
		message = "was recorded as another's; it is this service's now"
		done, err = replaceRecord(ctx, p, r, f)
	case remove:
		message = "is used by nobody: its record was removed"
		done, err = removeRecord(ctx, p, r, f)
	}
	if done && err == nil {
		p.tell(ctx, f.reason, what, f.service, message)
	}
	return err
}

// makeRecord records that the Service holds the key. The Service may be deleted meanwhile. If it was before the record
// was made, its deletion has not released it, so that is looked for afterwards; if it is later, the deletion finds the
// record.
func makeRecord[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) (bool, error) {
	if ok, err := needs(ctx, p, f.service, f.key); !ok || err != nil {
		return false, err
	}
	made, err := r.claim(ctx, f.key, f.service)
	if errors.Is(err, errTaken) {
		return false, nil // by itself, since the snapshot; or by another, which the next pass tells
	}
	if err != nil {
		return false, err
	}
	if ok, err := needs(ctx, p, f.service, f.key); ok || err != nil {
		return ok, err
	}
	return false, r.release(ctx, f.key, made)
}

// replaceRecord puts the Service's record in the place of a wrong one.
func replaceRecord[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) (bool, error) {
	if ok, err := needs(ctx, p, f.service, f.key); !ok || err != nil {
		return false, err
	}
	if err := r.release(ctx, f.key, f.version); err != nil {
		return false, err
	}
	return makeRecord(ctx, p, r, f)
}

// removeRecord removes a record if it is still the one that was seen, and still nobody's.
func removeRecord[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) (bool, error) {
	now, err := r.holder(ctx, f.key)
	if err != nil || now == nil || now.version != f.version {
		return false, err
	}
	if !now.foreign {
		if ok, err := needs(ctx, p, now.owner, f.key); ok || err != nil {
			return false, err
		}
	}
	return true, r.release(ctx, f.key, f.version)
}
