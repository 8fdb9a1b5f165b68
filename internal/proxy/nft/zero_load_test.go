package nft_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

// A zeroLoad are clients that use a Service all the time, each in its own way, and count what fails.
type zeroLoad struct {
	lab      *proxytest.Lab
	place    netip.AddrPort
	stop     chan struct{}
	clients  gosync.WaitGroup
	done     atomic.Int64 // requests that were answered
	mu       gosync.Mutex
	failures []string // guarded by mu
}

const (
	zeroPatience = 5 * time.Second
	// keepAlive is how long a client keeps a connection, which is less than a Pod takes to terminate.
	keepAlive = 100 * time.Millisecond
	grace     = 2 * keepAlive
)

func startLoad(lab *proxytest.Lab, place netip.AddrPort) *zeroLoad {
	z := &zeroLoad{lab: lab, place: place, stop: make(chan struct{})}
	for _, h := range []proxytest.Host{proxytest.Node, proxytest.PodB, proxytest.Client} {
		for name, client := range map[string]func() error{"short TCP": z.short, "keep-alive TCP": z.keepAlive,
			"UDP": z.datagrams} {
			z.clients.Go(func() { z.repeat(fmt.Sprintf("%s, %s", h, name), h, client) })
		}
	}
	return z
}

// repeat has a client do its work on h until the end.
func (z *zeroLoad) repeat(name string, h proxytest.Host, client func() error) {
	err := z.lab.Do(h, func() error {
		for !z.over() {
			if err := client(); err != nil {
				z.fail(fmt.Sprintf("%s: %v", name, err))
			}
		}
		return nil
	})
	if err != nil {
		z.fail(err.Error())
	}
}

func (z *zeroLoad) over() bool {
	select {
	case <-z.stop:
		return true
	default:
		return false
	}
}

func (z *zeroLoad) fail(what string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.failures = append(z.failures, time.Now().Format("05.000 ")+what)
}

// await returns when n more requests have been answered.
func (z *zeroLoad) await(t *testing.T, n int64) {
	t.Helper()
	enough, late := z.done.Load()+n, time.After(6*zeroPatience)
	for z.done.Load() < enough {
		select {
		case <-late:
			t.Fatalf("%d requests were not answered in time", n)
		case <-time.After(time.Millisecond):
		}
	}
}

// end stops the clients, and gives what failed.
func (z *zeroLoad) end() []string {
	close(z.stop)
	z.clients.Wait()
	return z.failures
}

// short is a connection for each request.
func (z *zeroLoad) short() error {
	c, err := net.DialTimeout("tcp", z.place.String(), zeroPatience)
	if err != nil {
		return err
	}
	defer c.Close()
	return z.request(c)
}

// keepAlive is a connection for many requests.
func (z *zeroLoad) keepAlive() error {
	c, err := net.DialTimeout("tcp", z.place.String(), zeroPatience)
	if err != nil {
		return err
	}
	defer c.Close()
	for until := time.Now().Add(keepAlive); time.Now().Before(until); {
		if err := z.request(c); err != nil {
			return fmt.Errorf("on an open connection: %w", err)
		}
	}
	return nil
}

// datagrams are a conversation that goes on from Pod to Pod. A question that is not answered is asked again, as UDP
// clients do: an answer that is on its way when the kernel forgets the conversation is lost.
func (z *zeroLoad) datagrams() error {
	c, err := net.Dial("udp", z.place.String())
	if err != nil {
		return err
	}
	defer c.Close()
	for until := time.Now().Add(10 * keepAlive); time.Now().Before(until) && !z.over(); {
		err := os.ErrDeadlineExceeded
		for try := 0; try < 3 && errors.Is(err, os.ErrDeadlineExceeded); try++ {
			err = z.ask(c, zeroPatience/10)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (z *zeroLoad) request(c net.Conn) error { return z.ask(c, zeroPatience) }

func (z *zeroLoad) ask(c net.Conn, patience time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("?")); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return err
	}
	z.done.Add(1)
	return nil
}

// A rollingPod answers each byte by one, over TCP and UDP. It accepts connections until it is stopped.
type rollingPod struct {
	at netip.AddrPort
	l  net.Listener
	u  *net.UDPConn
}

func startPod(t *testing.T, lab *proxytest.Lab, h proxytest.Host, port uint16) *rollingPod {
	p := &rollingPod{at: netip.AddrPortFrom(h.Addr(false), port)}
	lab.In(h, func() (err error) {
		if p.l, err = net.Listen("tcp", p.at.String()); err != nil {
			return err
		}
		p.u, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.at))
		return err
	})
	t.Cleanup(p.stop)
	go p.serveTCP()
	go p.serveUDP()
	return p
}

func (p *rollingPod) stop() {
	_ = errors.Join(p.l.Close(), p.u.Close()) // the second time says that it is closed
}

func (p *rollingPod) serveTCP() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 16)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				if _, err := c.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func (p *rollingPod) serveUDP() {
	buf := make([]byte, 16)
	for {
		n, from, err := p.u.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = p.u.WriteToUDPAddrPort(buf[:n], from)
	}
}

// rolling is a table with a Service over TCP and UDP; terminating Pods get no new connections.
func rolling(place netip.AddrPort, ready, terminating []netip.AddrPort) *routing.Table {
	p := routing.Pool{Empty: routing.Reject, Why: routing.All}
	for _, a := range ready {
		p.Backends = append(p.Backends, routing.Backend{Addr: a, Weight: 1, Local: a.Addr() == proxytest.PodA.Addr(false)})
	}
	outside := p
	outside.SNAT = true
	var fs []routing.Frontend
	for _, proto := range []routing.Proto{routing.TCP, routing.UDP} {
		fs = append(fs, routing.Frontend{
			Key:     routing.Key{Kind: routing.ClusterIP, Addr: place.Addr(), Port: place.Port(), Proto: proto},
			Service: routing.Name{Namespace: "test", Name: "rolling", Port: strings.ToLower(proto.String())},
			Inside:  p, Outside: outside, Serving: terminating, Policy: routing.Random,
		})
	}
	return with(entry("rolling", fs))
}

// times reads how often something is to be done: few, unless the environment asks for the long form.
func times(few, long int) int {
	if os.Getenv("VIADUCT_LONG") != "" {
		return long
	}
	return few
}
