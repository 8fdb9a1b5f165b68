package nft

import (
	"errors"
	"fmt"
	"time"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// A writer gathers ops of many Services into transactions. What the kernel refuses of one Service does not keep the
// others from being written.
type writer struct {
	conn   *nftables.Conn
	batch  []nftables.Message
	owners []routing.Name // of the messages in batch; zero: the table itself
	size   int            // of the messages in batch, in bytes
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

func newWriter(c *nftables.Conn) *writer {
	return &writer{conn: c, failed: map[routing.Name]error{}}
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
			w.message(owner, deleteElements(portion))
		}
		if ops[0].verb != remove {
			w.message(owner, addElements(portion))
		}
		w.stats.Elements += n
		ops = ops[n:]
		if w.size >= nftables.MaxTransaction {
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
	for n < len(ops) && n < nftables.MaxElements && ops[n].verb == first.verb && ops[n].set == first.set &&
		ops[n].family() == first.family() {
		n++
	}
	return n
}

// message adds one message for a Service; the zero owner is the table itself.
func (w *writer) message(owner routing.Name, m nftables.Message) {
	w.batch = append(w.batch, m)
	w.owners = append(w.owners, owner)
	w.size += m.Size()
}

// flush commits what is gathered. Refused Services are taken out, and the rest is tried again without them.
func (w *writer) flush() error {
	defer func() { w.batch, w.owners, w.size = w.batch[:0], w.owners[:0], 0 }()
	for len(w.batch) > 0 {
		started := time.Now()
		err := w.conn.Commit(w.batch)
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
	var refused nftables.CommitError
	if !errors.As(err, &refused) {
		return false
	}
	out := map[routing.Name]bool{}
	for _, r := range refused {
		if r.Index < 0 || r.Index >= len(w.batch) || w.owners[r.Index] == (routing.Name{}) {
			return false
		}
		owner := w.owners[r.Index]
		out[owner] = true
		w.failed[owner] = errors.Join(w.failed[owner], fmt.Errorf("the kernel refuses it: %w", r.Errno))
	}
	batch, owners := w.batch[:0], w.owners[:0]
	for i, m := range w.batch {
		if owner := w.owners[i]; !out[owner] {
			batch, owners = append(batch, m), append(owners, owner)
		}
	}
	w.batch, w.owners = batch, owners
	return true
}
