package network

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Remove removes the bridge and the tables that a Network made in the network namespace of the calling thread and left
// behind, and names those that were there. It fails with ErrHeld while a Network has them, unless force says that this
// does not matter. Pods that still run lose their network.
func Remove(force bool) (removed []string, err error) {
	lock, err := holdBridge()
	switch {
	case err == nil:
		defer func() { _ = unix.Close(lock) }() // nothing depends on it any more
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

// removeTables removes the tables of both families at once.
func removeTables() (removed []string, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("speaking with nftables: %w", err)
	}
	families := []struct {
		family nftables.TableFamily
		name   string
	}{{nftables.TableFamilyIPv4, "ip"}, {nftables.TableFamilyIPv6, "ip6"}}
	for _, f := range families {
		tables, err := conn.ListTablesOfFamily(f.family)
		if err != nil {
			return nil, fmt.Errorf("listing tables of nftables: %w", err)
		}
		for _, t := range tables {
			if t.Name == TableName {
				conn.DelTable(t)
				removed = append(removed, "table "+f.name+" "+TableName)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("removing table %s: %w", TableName, err)
	}
	return removed, nil
}
