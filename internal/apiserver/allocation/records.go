package allocation

import (
	"context"
	"errors"
)

// Why a request for a number is refused.
var (
	errTaken      = errors.New("already allocated")
	errOutOfRange = errors.New("not in the valid range")
	errFull       = errors.New("range is full")
)

// records stores the holders of one kind of number: addresses or ports.
type records[K comparable] interface {
	// claim records that owner holds key. It returns errTaken if a record exists, even one of owner: of two concurrent
	// requests for one Service, the one that fails must not release what the other one claimed.
	claim(ctx context.Context, key K, owner Owner) (version, error)
	// holder returns the latest record of key, or nil if there is none.
	holder(ctx context.Context, key K) (*record, error)
	// release removes the record of key if it still has that version. Another version is no error.
	release(ctx context.Context, key K, v version) error
}

// version distinguishes the records that a key has had.
type version string

// record is the holder of one number.
type record struct {
	owner   Owner
	version version
	// Only records of addresses can have these set, since other programs may write IPAddress objects.
	foreign   bool // the parent is not a Service
	unmanaged bool // the managed-by label is not ManagedBy
}

// claims collects what one request does to one kind of records.
type claims[K comparable] struct {
	records[K]
	owner   Owner
	dryRun  bool          // nothing is written, and answers are those of a real request
	taken   map[K]version // by this request
	leaving map[K]version // to be released when this request succeeds
}

func newClaims[K comparable](r records[K], owner Owner, dryRun bool) *claims[K] {
	return &claims[K]{records: r, owner: owner, dryRun: dryRun, taken: map[K]version{}, leaving: map[K]version{}}
}

// take claims key.
func (b *claims[K]) take(ctx context.Context, key K) error {
	if _, ok := b.taken[key]; ok {
		return errTaken
	}
	if b.dryRun {
		found, err := b.holder(ctx, key)
		if err == nil && found != nil {
			err = errTaken
		}
		if err == nil {
			b.taken[key] = ""
		}
		return err
	}
	v, err := b.claim(ctx, key, b.owner)
	if err == nil {
		b.taken[key] = v
	}
	return err
}

// leave notes the record of key that is to be released when the request has succeeded. It must be called before the
// Service is written: afterwards the record may belong to another request for the same Service.
func (b *claims[K]) leave(ctx context.Context, key K) error {
	if b.dryRun {
		return nil
	}
	found, err := b.holder(ctx, key)
	if err == nil && found != nil && !found.foreign && found.owner.is(b.owner) {
		b.leaving[key] = found.version
	}
	return err
}

// commit ends a request that succeeded, and rollback ends a request that failed.
func (b *claims[K]) commit(ctx context.Context) error   { return b.releaseAll(ctx, b.leaving) }
func (b *claims[K]) rollback(ctx context.Context) error { return b.releaseAll(ctx, b.taken) }

func (b *claims[K]) releaseAll(ctx context.Context, versions map[K]version) error {
	if b.dryRun {
		return nil
	}
	var errs []error
	for key, v := range versions {
		errs = append(errs, b.release(ctx, key, v))
	}
	clear(versions)
	return errors.Join(errs...)
}
