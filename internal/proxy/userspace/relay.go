package userspace

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// bufferSize is the largest UDP datagram, and as much of a stream as one read usually finds.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// spliceAfter is how much of each direction goes through a buffer, in bytes. Most requests and answers are shorter.
const spliceAfter = 128 << 10

// relay copies between client and server until both directions have ended, and closes both. Each end of a direction is
// passed on as it is: the end of data as the end of data (the other direction stays open), a broken connection as a
// reset.
func relay(client, server *net.TCPConn, service, endpoint *meter) {
	back := make(chan error, 1)
	go func() { back <- carryOver(client, server, &service.received, &endpoint.received) }()
	err := carryOver(server, client, &service.sent, &endpoint.sent)
	if err = errors.Join(err, <-back); err != nil {
		reset(client)
		reset(server)
		return
	}
	// Both have said their end and got the other's: nothing is left to say, and an error to close nothing to save.
	_ = client.Close()
	_ = server.Close()
}

// carryOver copies one direction to its end.
func carryOver(to, from *net.TCPConn, counts ...*atomic.Uint64) error {
	n, err := copyAll(to, from)
	for _, c := range counts {
		c.Add(uint64(n))
	}
	if err == nil {
		_ = to.CloseWrite() // it fails only if to is broken, and then the other direction finds out
		return nil
	}
	// Either side may have broken. If it is from, nothing will ever come from there, and to must hear of it now. If it is
	// to, its last words may still be on their way to from: the other direction delivers them and ends by itself.
	if gone(from) || !gone(to) {
		reset(to)
		reset(from)
	}
	return err
}

// copyAll copies until from has said its end. Most connections are short: those pay for one borrowed buffer. What goes
// on is spliced (on Linux TCPConn.ReadFrom does, from pipe to pipe in the kernel), which costs a pipe for each
// direction.
func copyAll(to, from *net.TCPConn) (int64, error) {
	n, err := copyFirst(to, from)
	if err == io.EOF {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	rest, err := to.ReadFrom(from)
	return n + rest, err
}

// copyFirst copies the first bytes; io.EOF says that from has said its end.
func copyFirst(to, from *net.TCPConn) (n int64, err error) {
	raw, err := from.SyscallConn()
	for n < spliceAfter && err == nil {
		var got int
		got, err = borrowRead(from, raw, func(data []byte) error {
			if len(data) == 0 {
				return io.EOF
			}
			_, err := to.Write(data)
			return err
		})
		n += int64(got)
	}
	return n, err
}

// reset closes c so that its peer sees a reset rather than an end of data.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // both fail only on a connection that is closed already
	_ = c.Close()
}
