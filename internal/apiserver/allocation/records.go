package allocation

import (
	"context"
	"errors"
)

// What a request for a number is refused for.
var (
	errTaken      = errors.New("already allocated")
	errOutOfRange = errors.New("not in the valid range")
	errFull       = errors.New("range is full")
)

// records is where the holders of one sort of number are written down: addresses, or ports.
type records[K comparable] interface {
	// claim records that owner holds key; errTaken if anybody does, owner included: two requests about one Service may be
	// under way, and the one that fails must not give back what the other was given.
	claim(ctx context.Context, key K, owner Owner) (version, error)
	// holder reads the latest record of key; nil if there is none.
	holder(ctx context.Context, key K) (*record, error)
	// release removes the record of key if it is still the one of that version. It is no error if it is not.
	release(ctx context.Context, key K, v version) error
}

// version tells a record from earlier and later ones of the same key.
type version string

// record says who holds something.
type record struct {
	owner   Owner
	version version
	// The rest differs from these zero values only for addresses, which others may write too.
	foreign   bool // what it is held for is no Service
	unmanaged bool // its labels do not say that it is one of ours
}

// book is what one request does to one sort of records.
type book[K comparable] struct {
	records[K]
	owner   Owner
	dryRun  bool          // claims are answered as they would be, and not made
	taken   map[K]version // by this request
	leaving map[K]version // to be given up when this request succeeds
}

func newBook[K comparable](r records[K], owner Owner, dryRun bool) *book[K] {
	return &book[K]{records: r, owner: owner, dryRun: dryRun, taken: map[K]version{}, leaving: map[K]version{}}
}

// take claims key.
func (b *book[K]) take(ctx context.Context, key K) error {
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

// leave looks up which record of key is to go when the request has succeeded. It must be called before the Service is
// written: later the record may be that of another request about the same Service.
func (b *book[K]) leave(ctx context.Context, key K) error {
	if b.dryRun {
		return nil
	}
	found, err := b.holder(ctx, key)
	if err == nil && found != nil && !found.foreign && found.owner.is(b.owner) {
		b.leaving[key] = found.version
	}
	return err
}

// keep ends a request that succeeded, and undo one that did not.
func (b *book[K]) keep(ctx context.Context) error { return b.releaseAll(ctx, b.leaving) }
func (b *book[K]) undo(ctx context.Context) error { return b.releaseAll(ctx, b.taken) }

func (b *book[K]) releaseAll(ctx context.Context, versions map[K]version) error {
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
