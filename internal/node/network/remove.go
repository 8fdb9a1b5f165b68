package network

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
)

// Remove removes the bridge and the tables that an earlier Network left in the network namespace of the calling thread,
// and names what was there. While a Network holds the bridge, Remove fails with ErrHeld, unless force is true. Pods
// that still run lose their network.
func Remove(force bool) (removed []string, err error) {
	lock, err := holdBridge()
	switch {
	case err == nil:
		defer func() { _ = unix.Close(lock) }() // nothing depends on the lock any more
	case !force || !errors.Is(err, ErrHeld):
		return nil, err
	}
	if removed, err = removeTables(); err != nil {
		return nil, err
	}
	link, err := netlink.LinkByName(Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return removed, nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return removed, fmt.Errorf("removing the bridge %s: %w", Bridge, err)
	}
	return append(removed, "bridge "+Bridge), nil
}

// removeTables removes the tables of both families in one transaction.
func removeTables() (removed []string, err error) {
	conn, err := nftables.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // what was committed stays
	var list []nftables.Message
	for _, f := range []nftables.Family{nftables.IPv4, nftables.IPv6} {
		tables, err := conn.Tables(f)
		if err != nil {
			return nil, fmt.Errorf("listing tables of nftables: %w", err)
		}
		if t := (nftables.Table{Family: f, Name: TableName}); slices.Contains(tables, TableName) {
			list = append(list, t.Delete())
			removed = append(removed, "table "+t.String())
		}
	}
	if err := conn.Commit(list); err != nil {
		return nil, fmt.Errorf("removing table %s: %w", TableName, err)
	}
	return removed, nil
}
