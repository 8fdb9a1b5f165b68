package allocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// repairAll acts on each finding, several at a time.
func repairAll[K comparable](ctx context.Context, p *pass, r records[K], found []finding[K]) error {
	var (
		group sync.WaitGroup
		slots = make(chan struct{}, repairsAtOnce)
		mu    sync.Mutex // guards errs
		errs  []error
	)
	for _, f := range found {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := repairOne(ctx, p, r, f); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s of %v: %w", f.reason, f.key, err))
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// repairOne takes the action of one finding, and reports the finding if the action was taken. The snapshot is old by
// now, so each step reads the store again.
func repairOne[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) error {
	what := fmt.Sprint(f.key)
	if f.action != report && f.action != claim && !p.isSure(what, f.version) {
		return nil
	}
	var (
		done    = true
		err     error
		message string
	)
	switch f.action {
	case report:
		message = "cannot be allocated to this service: it is outside every range, or another service holds it; please " +
			"recreate the service"
	case claim:
		message = "was not recorded for this service; the record has been created"
		done, err = createRecord(ctx, p, r, f)
	case replace:
		message = "was recorded for another owner; the record has been corrected"
		done, err = replaceRecord(ctx, p, r, f)
	case remove:
		message = "is not used; its record has been removed"
		done, err = removeRecord(ctx, p, r, f)
	}
	if done && err == nil {
		p.report(ctx, f.reason, what, f.service, message)
	}
	return err
}

// createRecord records that the Service holds the key. The Service may be deleted at the same time. If it was
// deleted before the record was created, its deletion did not release the record, so createRecord checks again
// afterwards. If it is deleted later, the deletion finds the record.
func createRecord[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) (bool, error) {
	if ok, err := holds(ctx, p, f.service, f.key); !ok || err != nil {
		return false, err
	}
	made, err := r.claim(ctx, f.key, f.service)
	if errors.Is(err, errTaken) {
		return false, nil // claimed since the snapshot: by the Service itself, or by another, which the next pass reports
	}
	if err != nil {
		return false, err
	}
	if ok, err := holds(ctx, p, f.service, f.key); ok || err != nil {
		return ok, err
	}
	return false, r.release(ctx, f.key, made)
}

// replaceRecord replaces a wrong record by the Service's record.
func replaceRecord[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) (bool, error) {
	if ok, err := holds(ctx, p, f.service, f.key); !ok || err != nil {
		return false, err
	}
	if err := r.release(ctx, f.key, f.version); err != nil {
		return false, err
	}
	return createRecord(ctx, p, r, f)
}

// removeRecord removes a record if it still has the version that was seen and no Service holds its key.
func removeRecord[K comparable](ctx context.Context, p *pass, r records[K], f finding[K]) (bool, error) {
	now, err := r.holder(ctx, f.key)
	if err != nil || now == nil || now.version != f.version {
		return false, err
	}
	if !now.foreign {
		if ok, err := holds(ctx, p, now.owner, f.key); ok || err != nil {
			return false, err
		}
	}
	return true, r.release(ctx, f.key, f.version)
}
