package nft

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

const (
	// maxBatch bounds a transaction, in bytes: the kernel holds the lock of all its tables while it works, a few
	// milliseconds for this many.
	maxBatch = 96 << 10
	// maxElements bounds a message: its list of elements is an attribute, and those end at 64 kB.
	maxElements = 400
)

// A writer gathers ops of many Services into transactions. What the kernel refuses of one Service does not keep the
// others from being written.
type writer struct {
	socket *socket
	batch  []message
	size   int
	failed map[routing.Name]error
	stats  Stats
}

// Stats say what a Backend has written.
type Stats struct {
	Elements     int           // added, replaced or removed
	Transactions int           // each takes effect as a whole
	Longest      time.Duration // the longest transaction, for which the kernel holds the lock of all its tables
}

func (s *Stats) add(o Stats) {
	s.Elements += o.Elements
	s.Transactions += o.Transactions
	s.Longest = max(s.Longest, o.Longest)
}

func newWriter(s *socket) *writer {
	return &writer{socket: s, failed: map[routing.Name]error{}}
}

// service writes the ops of one Service, which are in order. Those about elements that other Services may want too are
// nobody's: they are written whatever the kernel says of the Service.
func (w *writer) service(name routing.Name, ops []op) error {
	for len(ops) > 0 {
		n, owner := alike(ops), name
		if ops[0].shared() {
			owner = routing.Name{}
		}
		portion := ops[:n]
		if ops[0].verb != add {
			w.message(elementsMessage(unix.NFT_MSG_DELSETELEM, owner, portion))
		}
		if ops[0].verb != remove {
			w.message(elementsMessage(unix.NFT_MSG_NEWSETELEM, owner, portion))
		}
		w.stats.Elements += n
		ops = ops[n:]
		if w.size >= maxBatch {
			if err := w.flush(); err != nil {
				return err
			}
		}
		if w.failed[name] != nil {
			return nil
		}
	}
	return nil
}

// alike is how many ops at the beginning of the list can share a message.
func alike(ops []op) int {
	n, first := 1, ops[0]
	for n < len(ops) && n < maxElements && ops[n].verb == first.verb && ops[n].set == first.set &&
		ops[n].family() == first.family() {
		n++
	}
	return n
}

func (w *writer) message(m message) {
	w.batch = append(w.batch, m)
	w.size += len(m.body) + 20
}

// flush commits what is gathered. Refused Services are taken out, and the rest is tried again without them.
func (w *writer) flush() error {
	defer func() { w.batch, w.size = w.batch[:0], 0 }()
	for len(w.batch) > 0 {
		started := time.Now()
		err := w.socket.commit(w.batch)
		w.stats.add(Stats{Transactions: 1, Longest: time.Since(started)})
		if err == nil {
			return nil
		}
		if !w.exclude(err) {
			return fmt.Errorf("writing %d changes to the table: %w", len(w.batch), err)
		}
	}
	return nil
}

// exclude takes those Services out of the batch that err names; false if it names none.
func (w *writer) exclude(err error) bool {
	out := map[routing.Name]bool{}
	for _, r := range refusals(err) {
		if r.index < 0 || r.index >= len(w.batch) || w.batch[r.index].owner == (routing.Name{}) {
			return false
		}
		owner := w.batch[r.index].owner
		out[owner] = true
		w.failed[owner] = errors.Join(w.failed[owner], fmt.Errorf("the kernel refuses it: %w", r.errno))
	}
	rest := w.batch[:0]
	for _, m := range w.batch {
		if !out[m.owner] {
			rest = append(rest, m)
		}
	}
	w.batch = rest
	return len(out) > 0
}

// refusals are the kernel's answers in err; none means that it is another error.
func refusals(err error) (list []refusal) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			list = append(list, refusals(one)...)
		}
		return list
	}
	var r refusal
	if errors.As(err, &r) {
		list = append(list, r)
	}
	return list
}
