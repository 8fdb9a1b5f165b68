package userspace

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// flow carries the datagrams between one client and one endpoint. Its socket is connected, so the kernel reports an
// endpoint that refuses (ECONNREFUSED).
type flow struct {
	server  *udpServer
	client  netip.AddrPort
	attempt dialAttempt // the search that found the endpoint; it has the endpoints that refused before
	to      netip.AddrPort
	tally   *meter // of the endpoint
	up      *net.UDPConn
	down    *net.UDPConn // the server's socket: answers have the address that the client sent to as their source
	last    atomic.Int64 // the time of the last datagram, in nanoseconds of the Unix clock

	mu       sync.Mutex // protects the following
	answered bool
	first    []byte // the latest datagram, kept until the endpoint has answered once
}

// keepFirst is the size of the largest datagram that is kept for another endpoint, in bytes. It is enough for a DNS
// query or a QUIC hello.
const keepFirst = 2048

func (f *flow) touch() { f.last.Store(time.Now().UnixNano()) }

// send sends one datagram to the endpoint. An error means that the endpoint refused this or an earlier datagram, or
// that the flow has ended.
func (f *flow) send(data []byte) error {
	f.touch()
	f.mu.Lock()
	if !f.answered && len(data) <= keepFirst {
		f.first = slices.Clone(data)
	}
	f.mu.Unlock()
	_, err := f.up.Write(data)
	return err
}

// back sends answers to the client until the flow has been idle for UDPIdle, the flow was ended, or the endpoint
// refuses.
func (f *flow) back() {
	defer f.server.host.wg.Done()
	raw, err := f.up.SyscallConn()
	for err == nil {
		// This fails only on a closed socket, and then the read below fails too.
		_ = f.up.SetReadDeadline(time.Unix(0, f.last.Load()).Add(f.server.host.opts.UDPIdle))
		_, err = borrowRead(f.up, raw, f.answer)
		if errors.Is(err, os.ErrDeadlineExceeded) && !f.idle() {
			err = nil
		}
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		f.elsewhere()
		return
	}
	f.server.mu.Lock()
	f.server.end(f)
	f.server.mu.Unlock()
}

func (f *flow) idle() bool {
	return time.Since(time.Unix(0, f.last.Load())) >= f.server.host.opts.UDPIdle
}

// answer sends one datagram to the client.
func (f *flow) answer(data []byte) error {
	f.touch()
	f.mu.Lock()
	f.answered, f.first = true, nil
	f.mu.Unlock()
	n, err := f.down.WriteToUDPAddrPort(data, f.client)
	f.server.meter.received.Add(uint64(n))
	f.tally.received.Add(uint64(n))
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // the client is gone, or a buffer is full: one datagram is lost, and the flow stays
}

// elsewhere ends a flow whose endpoint refused, and sends the unanswered datagram to another endpoint.
func (f *flow) elsewhere() {
	f.mu.Lock()
	first := f.first
	f.mu.Unlock()
	next := f.server.replace(f)
	if next != nil && next != f && first != nil {
		_ = next.send(first) // if this endpoint refuses too, the back goroutine of its flow gets the error
	}
}
