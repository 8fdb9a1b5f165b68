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

// flow is one client's datagrams to one endpoint and back. Its socket is connected, so that an endpoint that is not
// there is heard of.
type flow struct {
	server  *udpServer
	client  netip.AddrPort
	attempt dialAttempt // how the endpoint was found, and which ones refused before
	to      netip.AddrPort
	tally   *meter // of the endpoint
	up      *net.UDPConn
	down    *net.UDPConn // the server's socket: answers leave from the address the client sent to
	last    atomic.Int64 // when a datagram last passed, in nanoseconds of the Unix clock

	mu       sync.Mutex // protects the following
	answered bool
	first    []byte // the latest datagram, kept until the endpoint has answered once
}

// keepFirst is the largest datagram that is kept to be sent to another endpoint, in bytes: a DNS query or a QUIC hello.
const keepFirst = 2048

func (f *flow) touch() { f.last.Store(time.Now().UnixNano()) }

// send passes one datagram on. An error means that the endpoint refuses (it may have refused an earlier datagram) or
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

// back passes answers to the client until the flow has been idle for long enough, is ended, or its endpoint refuses.
func (f *flow) back() {
	defer f.server.host.wg.Done()
	raw, err := f.up.SyscallConn()
	for err == nil {
		// fails only when closed: so does the read
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

// answer passes one datagram to the client.
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
	return nil // a client that is gone, or a full buffer: one datagram is lost, the flow stays
}

// elsewhere ends a flow whose endpoint refused, and sends what it left unanswered to another one.
func (f *flow) elsewhere() {
	f.mu.Lock()
	first := f.first
	f.mu.Unlock()
	next := f.server.replace(f)
	if next != nil && next != f && first != nil {
		_ = next.send(first) // if it refuses too, its own way back hears of it
	}
}
