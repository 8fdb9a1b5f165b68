package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"

	"viaduct/internal/echo"
)

// ground is a pair of address ranges that no other demo on this host uses.
type ground struct {
	services, pods netip.Prefix
	claim          net.Listener // on the network address, which neither a Service nor a Pod gets
}

// claimPort is listened on while a demo has its ground. What listens there says nothing.
const claimPort = 7443

// claimGround picks a random /19 of 127.0.0.0/8 and halves it. 127.0.0.0 to 127.15 are left to others, and from 127.96
// on to the defaults of `up`.
func claimGround() (*ground, error) {
	var last error
	for range 20 {
		n := uint32(127)<<24 | (uint32(16)+rand.Uint32N(80))<<16 | rand.Uint32N(8)<<13
		first, second := prefix20(n), prefix20(n+1<<12)
		claim, err := net.Listen("tcp", netip.AddrPortFrom(first.Addr(), claimPort).String())
		if err == nil {
			return &ground{services: first, pods: second, claim: claim}, nil
		}
		last = err
	}
	return nil, fmt.Errorf("20 random ranges are all in use, the last because of: %w", last)
}

func prefix20(n uint32) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 20)
}

func (g *ground) release() { g.claim.Close() }

// outsiders starts two servers that are no Pods, on one port of 127.0.0.1 and 127.0.0.2: the example's if it is free,
// else another.
func outsiders(examplePort uint16) ([]*echo.Server, uint16, error) {
	var last error
	for _, port := range append([]uint16{examplePort}, make([]uint16, 10)...) {
		first, err := echo.New(echo.Options{Name: "server-a", HTTP: net.JoinHostPort("127.0.0.1",
			strconv.Itoa(int(port)))})
		if err != nil {
			last = err
			continue
		}
		port = first.Addr().(*net.TCPAddr).AddrPort().Port()
		second, err := echo.New(echo.Options{Name: "server-b", HTTP: net.JoinHostPort("127.0.0.2",
			strconv.Itoa(int(port)))})
		if err == nil {
			return []*echo.Server{first, second}, port, nil
		}
		first.Close()
		last = errors.Join(last, err)
	}
	return nil, 0, fmt.Errorf("starting two servers that are no Pods: %w", last)
}
