package node

import (
	"fmt"
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// addresses allocates the addresses of one range of this node to Pods.
type addresses struct {
	cidr netip.Prefix

	mu    sync.Mutex
	owner map[netip.Addr]types.UID // guarded by mu
}

func newAddresses(cidr netip.Prefix) *addresses {
	return &addresses{cidr: cidr.Masked(), owner: map[netip.Addr]types.UID{}}
}

// claim gives uid an address: had (that of its status, or the zero Addr), if it is in the range and no other Pod has
// it, or else a free one.
func (a *addresses) claim(uid types.UID, had netip.Addr) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cidr.Contains(had) && (a.owner[had] == "" || a.owner[had] == uid) {
		a.owner[had] = uid
		return had, nil
	}
	addr, ok := pickAddress(a.cidr, uid, func(addr netip.Addr) bool { return a.owner[addr] != "" })
	if !ok {
		return netip.Addr{}, fmt.Errorf("no address of %s is free", a.cidr)
	}
	a.owner[addr] = uid
	return addr, nil
}

// release frees the addresses of uid.
func (a *addresses) release(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for addr, owner := range a.owner {
		if owner == uid {
			delete(a.owner, addr)
		}
	}
}
