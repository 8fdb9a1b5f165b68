package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// measureConnect flips the readiness of the only Pod of a Service, and takes the time from the acknowledged write to the first
// connection that reaches it, or that is refused.
func measureConnect(ctx context.Context, b *bench) ([]row, error) {
	return with(ctx, b, func(u *up) ([]row, error) {
		addr := u.addr(0)
		stop, err := answer(net.JoinHostPort(addr, fmt.Sprint(servicePort)))
		if err != nil {
			return nil, err
		}
		defer stop()
		clusterIP, err := u.makeService(ctx, "one", []string{addr})
		if err != nil {
			return nil, err
		}
		target := net.JoinHostPort(clusterIP, fmt.Sprint(servicePort))
		if _, err := untilReached(target, true); err != nil {
			return nil, err
		}
		var reached, avoided []time.Duration
		for i := range b.times(400, 10) {
			ready := i%2 == 1
			if err := u.setStatus(ctx, "one-0", addr, ready); err != nil {
				return nil, err
			}
			took, err := untilReached(target, ready)
			if err != nil {
				return nil, err
			}
			if ready {
				reached = append(reached, took)
			} else {
				avoided = append(avoided, took)
			}
		}
		return []row{
			{"Pod ready → first connection through the proxy that reaches it", tail(reached), "p99 under 25 ms"},
			{"Pod not ready → first connection that avoids it", tail(avoided), "p99 under 25 ms"},
		}, nil
	})
}

// untilReached connects until a request is answered (or is no longer), and returns how long that took.
func untilReached(target string, want bool) (time.Duration, error) {
	from := time.Now()
	for time.Since(from) < awaitTimeout {
		if _, err := request(target); (err == nil) == want {
			return time.Since(from), nil
		}
		time.Sleep(resolution) // trying without a pause would take the processor from what is measured
	}
	return 0, fmt.Errorf("%s did not follow within %s", target, awaitTimeout)
}

// resolution is the pause between two tries, and so the error of what is measured.
const resolution = 200 * time.Microsecond

// request makes one short connection: seven bytes there, sixteen back.
func request(target string) (time.Duration, error) {
	from := time.Now()
	conn, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(from.Add(5 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, "request"); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 16)); err != nil {
		return 0, err
	}
	return time.Since(from), nil
}

// answer serves request's other end on addr until stop is called.
func answer(addr string) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go answerOne(conn)
			}
		}
	}()
	return func() { l.Close() }, nil
}

func answerOne(conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 7)); err == nil {
		io.WriteString(conn, "sixteen bytes ok")
	}
}
