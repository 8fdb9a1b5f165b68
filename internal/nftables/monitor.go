package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// MonitorInterval is the longest time that Monitor.Wait takes.
const MonitorInterval = 500 * time.Millisecond

// A Monitor receives the kernel's notifications of changes to nf_tables in one network namespace, as "nft monitor"
// does. One goroutine at a time may use it.
type Monitor struct{ conn *Conn }

// NewMonitor begins to monitor the network namespace of the calling thread. A filter in the kernel drops the
// notifications of changes that own makes, so that they cost nothing.
func NewMonitor(own *Conn) (*Monitor, error) {
	c, err := Open()
	if err != nil {
		return nil, err
	}
	// Bytes 12 to 15 of a notification are the port of the socket that made the change. The filter loads them in network
	// byte order.
	port := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, own.port))
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: port, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err = errors.Join(
		unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program),
		c.setReceiveTimeout(MonitorInterval),
		unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTABLES),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subscribing to changes of nftables: %w", err), c.Close())
	}
	return &Monitor{c}, nil
}

// Wait waits for the next notifications and reports whether one is about a table of this name, in any family, or
// whether notifications were lost. It returns false after MonitorInterval without notifications.
func (m *Monitor) Wait(table string) (changed bool, err error) {
	err = m.conn.receive(func(a answer) error {
		changed = changed || concerns(a, table)
		return nil
	})
	switch {
	case errors.Is(err, unix.ENOBUFS): // more notifications than the socket's buffer holds
		return true, nil
	case errors.Is(err, unix.EAGAIN):
		return false, nil
	}
	return changed, err
}

func concerns(a answer, table string) bool {
	if a.kind>>8 != unix.NFNL_SUBSYS_NFTABLES || a.kind&0xff == unix.NFT_MSG_NEWGEN {
		return false
	}
	return text(find(a.attributes(), tableName)) == table
}

// Close ends the subscription.
func (m *Monitor) Close() error { return m.conn.Close() }
