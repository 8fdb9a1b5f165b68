package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Watch calls doubt whenever somebody else changes Viaduct's tables, until ctx ends. The kernel tells every change of
// its tables, and by whom; a filter in the kernel keeps back what this Backend does itself, so that watching costs
// nothing while nobody else is at work.
func (b *Backend) Watch(ctx context.Context, doubt func()) error {
	s := b.listener
	for ctx.Err() == nil {
		touched := false
		err := s.receive(func(kind, _ uint16, _ uint32, body []byte) error {
			touched = touched || kind>>8 == unix.NFNL_SUBSYS_NFTABLES && len(body) > 4 && concerns(kind&0xff, body[4:])
			return nil
		})
		switch {
		case errors.Is(err, unix.ENOBUFS): // more happened than the socket could hold: anything may have
			touched = true
		case errors.Is(err, unix.EAGAIN): // the time limit of receiving, which lets ctx be looked at
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("watching the kernel's tables: %w", err)
		}
		if touched && ctx.Err() == nil {
			doubt()
			awaitQuiet(ctx)
		}
	}
	return nil
}

// quiet is the least time between two calls of doubt: a foreign hand works in many strokes, and each repair looks at
// everything.
const quiet = 50 * time.Millisecond

func awaitQuiet(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(quiet):
	}
}

// concerns reports whether a message tells of a change in a table of ours.
func concerns(kind uint16, body []byte) bool {
	return kind != unix.NFT_MSG_NEWGEN && textOf(attr(body, 1)) == TableName
}

// listenInterval bounds how long Watch takes to see that its ctx has ended.
const listenInterval = 500 * time.Millisecond

// listen opens a socket that hears of changes that others than the socket own make.
func listen(own *socket) (*socket, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	// Bytes 12 to 15 of a message are the port of whoever asked for the change. The filter reads them in network order.
	port := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, own.port))
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: port, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	limit := unix.NsecToTimeval(int64(listenInterval))
	err = errors.Join(
		unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)),
			Filter: &filter[0]}),
		unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTABLES),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening to changes of the kernel's tables: %w", err), s.close())
	}
	return s, nil
}
