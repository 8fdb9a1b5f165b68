package addressrange

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

// A Reservation is a pair of loopback ranges that no other holder of a Reservation on this host uses.
type Reservation struct {
	Services netip.Prefix
	Pods     netip.Prefix
	claim    net.Listener // see ClaimAddr
}

// claimPort is the port of the socket that marks a reserved range.
const claimPort = 7443

// Reserve picks a random /19 of 127.FIRST.0.0 to 127.LAST.255.255 and halves it. It returns an error if 50 random
// ranges are all in use. The demo uses 127.16 to 127.95 and the tests use 127.160 to 127.249; 127.96 and 127.128 are
// the defaults of `viaduct up`.
func Reserve(first, last byte) (*Reservation, error) {
	var failure error
	for range 50 {
		second, third := first+byte(rand.IntN(int(last-first)+1)), byte(rand.IntN(8)*32)
		r := &Reservation{Services: prefix20(second, third), Pods: prefix20(second, third+16)}
		if r.claim, failure = net.Listen("tcp", r.ClaimAddr().String()); failure == nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("50 random address ranges are in use, the last because of: %w", failure)
}

func prefix20(second, third byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, second, third, 0}), 20)
}

// ClaimAddr is the address that a Reservation listens on. It is the network address of the Services, which no Service
// and no Pod gets. The socket answers nothing.
func (r *Reservation) ClaimAddr() netip.AddrPort {
	return netip.AddrPortFrom(r.Services.Addr(), claimPort)
}

// Release gives the ranges back.
func (r *Reservation) Release() { r.claim.Close() }

// Service returns the n-th address of the Services' range.
func (r *Reservation) Service(n byte) netip.Addr {
	raw := r.Services.Addr().As4()
	raw[3] = n
	return netip.AddrFrom4(raw)
}

// Flags returns the ranges as flags of `viaduct up`.
func (r *Reservation) Flags() []string {
	return []string{"--service-cidr", r.Services.String(), "--pod-cidr", r.Pods.String()}
}
