package apiserver

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// listen listens on address, and with the same port on further addresses, unless the first is every address of the
// host.
func listen(address string, also []netip.Addr) (net.Listener, error) {
	first, err := net.Listen("tcp", address)
	if err != nil || len(also) == 0 {
		return first, err
	}
	at := first.Addr().(*net.TCPAddr).AddrPort()
	if at.Addr().IsUnspecified() {
		return first, nil
	}
	all := &listeners{Listener: first, all: []net.Listener{first}, accepted: make(chan accepted),
		closed: make(chan struct{})}
	for _, a := range also {
		one, err := net.Listen("tcp", netip.AddrPortFrom(a, at.Port()).String())
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all.all = append(all.all, one)
	}
	for _, one := range all.all {
		go all.take(one)
	}
	return all, nil
}

// listeners combines several listeners. Its address is that of the first.
type listeners struct {
	net.Listener
	all      []net.Listener
	accepted chan accepted
	closed   chan struct{}
	once     sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// take delivers the connections of one listener to Accept, until l is closed.
func (l *listeners) take(one net.Listener) {
	for {
		conn, err := one.Accept()
		select {
		case l.accepted <- accepted{conn, err}:
		case <-l.closed:
			if err == nil {
				_ = conn.Close() // Accept is not called any more
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Accept implements net.Listener, for all addresses.
func (l *listeners) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It closes all listeners.
func (l *listeners) Close() (err error) {
	l.once.Do(func() {
		close(l.closed)
		for _, one := range l.all {
			err = errors.Join(err, one.Close())
		}
	})
	return err
}
