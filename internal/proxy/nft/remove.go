package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
)

// Remove removes Viaduct's tables from the network namespace of the calling thread and returns the names of the removed
// tables. It fails with ErrHeld while a Backend of another process uses the tables; with force it removes them anyway.
func Remove(force bool) (removed []string, err error) {
	lock, err := lockHost()
	if err != nil && !force {
		return nil, err
	}
	if err == nil {
		defer func() { _ = lock.release() }() // nothing depends on it any more
	}
	c, err := nftables.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // likewise
	for _, f := range families {
		have, err := readTable(c, f)
		if err != nil {
			return removed, err
		}
		if !have.exists {
			continue
		}
		if err := removeTable(c, f); err != nil {
			return removed, err
		}
		removed = append(removed, "table "+tableOf(f).String())
	}
	return removed, nil
}

// Retire makes Viaduct's tables in the network namespace of the calling thread ignore new connections, and keeps the
// present connections. It is for a change to another backend. The tables stay, with their chains but without Services,
// because the kernel stops the address translation of all connections when the last NAT chain is removed. Remove
// removes the tables. Retire reports whether there was a table, and fails with ErrHeld while a Backend uses the tables.
func Retire() (bool, error) {
	lock, err := lockHost()
	if err != nil {
		return false, err
	}
	defer func() { _ = lock.release() }() // nothing depends on it any more
	c, err := nftables.Open()
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Close() }() // likewise
	retired := false
	for _, f := range families {
		have, err := readTable(c, f)
		if err != nil {
			return retired, err
		}
		var list []nftables.Message
		for _, set := range []setID{{kind: addresses}, {kind: clusterIPs}, {kind: services}, {kind: outsideServices}} {
			if have.setFits(set) {
				list = append(list, tableOf(f).FlushSet(set.name()))
			}
		}
		if len(list) == 0 {
			continue
		}
		if err := c.Commit(list); err != nil {
			return retired, fmt.Errorf("retiring table %s: %w", tableOf(f), err)
		}
		retired = true
	}
	return retired, nil
}

func removeTables(c *nftables.Conn) (err error) {
	for _, f := range families {
		err = errors.Join(err, removeTable(c, f))
	}
	return err
}

// removeTable removes the table with its whole content. It is no error if the table does not exist.
func removeTable(c *nftables.Conn, f nftables.Family) error {
	err := c.Commit([]nftables.Message{tableOf(f).Delete()})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing table %s: %w", tableOf(f), err)
	}
	return nil
}
