package collect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// probeTimeout is the time limit for an address to accept a connection.
const probeTimeout = 2 * time.Second

// probeAll connects to each address and returns the results; "" means that the address accepted.
func probeAll(ctx context.Context, at []netip.AddrPort) map[netip.AddrPort]string {
	answers := make(map[netip.AddrPort]string, len(at))
	var mu sync.Mutex // protects answers
	var asking sync.WaitGroup
	room := make(chan struct{}, 64)
	for _, a := range at {
		asking.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			answer := dialOnce(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			answers[a] = answer
		})
	}
	asking.Wait()
	return answers
}

func dialOnce(ctx context.Context, at netip.AddrPort) string {
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", at.String())
	var number syscall.Errno
	var slow net.Error
	switch {
	case err == nil:
		_ = conn.Close() // the accepted connection is the result
		return ""
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &slow) && slow.Timeout():
		return fmt.Sprintf("no answer within %v", probeTimeout)
	}
	return err.Error()
}
