package userspace

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// bufferSize is the size of the largest UDP datagram, in bytes. One read of a stream usually returns no more than that.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// spliceAfter is how many bytes of each direction are copied through a buffer before splice takes over. Most requests
// and answers are shorter.
const spliceAfter = 128 << 10

// relay copies between client and server until both directions have ended, and closes both. An end of data is passed on
// as an end of data, and the other direction stays open. A broken connection is passed on as a reset.
func relay(client, server *net.TCPConn, service, endpoint *meter) {
	back := make(chan error, 1)
	go func() { back <- carryOver(client, server, &service.received, &endpoint.received) }()
	err := carryOver(server, client, &service.sent, &endpoint.sent)
	if err = errors.Join(err, <-back); err != nil {
		reset(client)
		reset(server)
		return
	}
	// Both sides have sent and received an end of data. No data can be lost any more, so errors of Close do not matter.
	_ = client.Close()
	_ = server.Close()
}

// carryOver copies one direction until its end, and adds the bytes to the counters.
func carryOver(to, from *net.TCPConn, counts ...*atomic.Uint64) error {
	n, err := copyAll(to, from)
	for _, c := range counts {
		c.Add(uint64(n))
	}
	if err == nil {
		_ = to.CloseWrite() // this fails only if to is broken, and then the other direction fails too
		return nil
	}
	// One of the sides is broken. If from is broken, no more data can arrive from it, so to gets a reset now. If to is
	// broken, its last data may still be on the way to from: the other direction delivers this data and then ends.
	if gone(from) || !gone(to) {
		reset(to)
		reset(from)
	}
	return err
}

// copyAll copies until from ends its data. Most connections are short and need only one buffer from the pool. Longer
// ones are spliced in the kernel (on Linux, TCPConn.ReadFrom calls splice), which costs a pipe for each direction.
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

// copyFirst copies the first bytes, about spliceAfter. io.EOF means that from has ended its data.
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

// reset closes c so that its peer gets a reset and no end of data.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // both calls fail only on a connection that is already closed
	_ = c.Close()
}
