package node

import "time"

// The back-off of a container, in multiples of the first wait (ten seconds unless Options say otherwise): it doubles up
// to thirty of them (five minutes), and is forgotten when a run lasted sixty (ten minutes).
const (
	backoffMost  = 30
	backoffReset = 60
)

// A backoff says how long a container waits before its next run. The zero value is that of one that never failed.
type backoff struct{ next time.Duration }

// after gives the wait that follows a run of length ran, and the back-off for the run after that. The first wait is
// zero: a program that ends once is started again at once.
func (b backoff) after(ran, first time.Duration) (wait time.Duration, following backoff) {
	if ran >= backoffReset*first {
		b.next = 0
	}
	return b.next, backoff{next: min(max(2*b.next, first), backoffMost*first)}
}
