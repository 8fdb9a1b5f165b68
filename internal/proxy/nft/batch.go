package nft

import (
	"errors"
	"fmt"
	"time"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// A writer collects the ops of many Services into transactions. If the kernel refuses messages of one Service, the
// writer still writes the other Services.
type writer struct {
	conn   *nftables.Conn
	batch  []nftables.Message
	owners []routing.Name // the Service of each message in batch; zero: the table itself
	size   int            // of the messages in batch, in bytes
	failed map[routing.Name]error
	stats  Stats
}

// Stats count the writes of a Backend since New.
type Stats struct {
	Elements     int           // added, replaced or removed
	Transactions int           // commits; each took effect as a whole, or not at all
	Longest      time.Duration // of a transaction; the kernel holds the lock of all its tables for this time
}

func (s *Stats) add(o Stats) {
	s.Elements += o.Elements
	s.Transactions += o.Transactions
	s.Longest = max(s.Longest, o.Longest)
}

func newWriter(c *nftables.Conn) *writer {
	return &writer{conn: c, failed: map[routing.Name]error{}}
}

// service writes the ops of one Service, in their order. The owner of shared elements is the table itself, so they are
// written even if the kernel refuses the Service.
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

// alike is the number of ops at the beginning of the list that fit into one message.
func alike(ops []op) int {
	n, first := 1, ops[0]
	for n < len(ops) && n < nftables.MaxElements && ops[n].verb == first.verb && ops[n].set == first.set &&
		ops[n].family() == first.family() {
		n++
	}
	return n
}

// message adds one message to the batch. The zero owner means the table itself.
func (w *writer) message(owner routing.Name, m nftables.Message) {
	w.batch = append(w.batch, m)
	w.owners = append(w.owners, owner)
	w.size += m.Size()
}

// flush commits the batch. If the kernel refuses messages of Services, flush tries again without these Services.
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

// exclude removes the Services that err names from the batch, and records their errors in failed. It returns false if
// err names no Service, or the table itself.
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
		w.failed[owner] = errors.Join(w.failed[owner], fmt.Errorf("the kernel refuses the Service: %w", r.Errno))
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
