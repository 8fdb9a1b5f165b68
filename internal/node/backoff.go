package node

import "time"

// The back-off of a container, in multiples of Options.Backoff (10 s by default): it doubles up to 30 (5 min), and a
// run of 60 (10 min) resets it.
const (
	backoffMost  = 30
	backoffReset = 60
)

// A backoff is the wait before a container's next run. The zero value is that of a container that never failed.
type backoff struct{ next time.Duration }

// after gives the wait after a run of length ran, and the back-off after the next run. The first wait is zero: a
// program that ends once restarts at once.
func (b backoff) after(ran, first time.Duration) (wait time.Duration, following backoff) {
	if ran >= backoffReset*first {
		b.next = 0
	}
	return b.next, backoff{next: min(max(2*b.next, first), backoffMost*first)}
}
