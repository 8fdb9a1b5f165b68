package allocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Config is the configuration of an Allocator.
type Config struct {
	// Families are the IP families that Services may have, the primary first. As upstream, they come from the server's own
	// ranges, not from the ServiceCIDR objects.
	Families  []corev1.IPFamily
	NodePorts PortRange // the zero value: DefaultNodePorts

	Addresses Store[*networkingv1.IPAddress]
	Ranges    Reader[*networkingv1.ServiceCIDR]
	KV        clientv3.KV // the store of the ports' records
	Log       *slog.Logger
}

// Allocator allocates addresses and ports to Services. It holds no state: any number of allocators may work over one
// store, and all methods may be called concurrently.
type Allocator struct {
	families  []corev1.IPFamily
	nodePorts PortRange
	addresses addresses
	ports     ports
	ranges    Reader[*networkingv1.ServiceCIDR]
	log       *slog.Logger
	metrics   *metrics
}

// New returns an allocator over the given store.
func New(c Config) *Allocator {
	if c.NodePorts == (PortRange{}) {
		c.NodePorts = DefaultNodePorts()
	}
	return &Allocator{
		families: c.Families, nodePorts: c.NodePorts, addresses: addresses{c.Addresses}, ports: ports{c.KV}, ranges: c.Ranges,
		log: c.Log, metrics: newMetrics(),
	}
}

// Families returns the IP families that Services may have, the primary first.
func (a *Allocator) Families() []corev1.IPFamily { return a.families }

// ready lists the ranges of a family from which addresses may be allocated now.
func (a *Allocator) ready(ctx context.Context, family corev1.IPFamily) ([]Range, error) {
	cidrs, err := a.ranges.List(ctx, anyVersion)
	if err != nil {
		return nil, fmt.Errorf("listing the service CIDRs: %w", err)
	}
	var ranges []Range
	for _, cidr := range oldestFirst(cidrs) {
		if !isReady(cidr) {
			continue
		}
		for _, r := range rangesOf(cidr) {
			if r.family() == family {
				ranges = append(ranges, r)
			}
		}
	}
	return ranges, nil
}

// takeAddress claims a requested address for the owner of b.
func (a *Allocator) takeAddress(ctx context.Context, b *claims[netip.Addr], addr netip.Addr) error {
	began := time.Now()
	ranges, err := a.ready(ctx, FamilyOf(addr))
	if err != nil {
		return err
	}
	var names []string
	for _, r := range ranges {
		if r.contains(addr) {
			err := b.take(ctx, addr)
			a.metrics.address(b, []Range{r}, scopeStatic, began, addr, err)
			return err
		}
		names = append(names, r.prefix.String())
	}
	return fmt.Errorf("%w. The range of valid IPs is %s", errOutOfRange, strings.Join(names, ", "))
}

// guesses is the number of random addresses that are tried before all held addresses are listed. Up to a range that
// is nine tenths full, fewer than one allocation in thirty lists them.
const guesses = 32

// nextAddress claims a free address of a family for the owner of b. Its cost depends on how full the ranges are, not
// on how large they are: far from full, it reads a few keys of a cache.
func (a *Allocator) nextAddress(ctx context.Context, b *claims[netip.Addr], family corev1.IPFamily) (netip.Addr,
	error) {
	began := time.Now()
	ranges, err := a.ready(ctx, family)
	if err != nil {
		return netip.Addr{}, err
	}
	addr, err := a.anyAddress(ctx, b, ranges)
	a.metrics.address(b, ranges, scopeDynamic, began, addr, err)
	return addr, err
}

func (a *Allocator) anyAddress(ctx context.Context, b *claims[netip.Addr], ranges []Range) (netip.Addr, error) {
	for _, r := range ranges {
		addr, err := a.guessAddress(ctx, b, r)
		if !errors.Is(err, errFull) {
			return addr, err
		}
	}
	// A list from the cache may show an address as held that was freed a moment ago, so only the latest list can say that
	// a range is full.
	for _, age := range []string{anyVersion, latest} {
		addr, err := a.findAddress(ctx, b, ranges, age)
		if !errors.Is(err, errFull) {
			return addr, err
		}
	}
	return netip.Addr{}, errFull
}

// guessAddress tries random addresses of the dynamic band. errFull means that none of them was free.
func (a *Allocator) guessAddress(ctx context.Context, b *claims[netip.Addr], r Range) (netip.Addr, error) {
	for range guesses {
		n, ok := r.dynamic(rand.Uint64N)
		if !ok {
			break
		}
		addr := r.at(n)
		if !a.addresses.seemsFree(ctx, addr) {
			continue
		}
		if err := b.take(ctx, addr); !errors.Is(err, errTaken) {
			return addr, err
		}
	}
	return netip.Addr{}, errFull
}

// findAddress claims an address that is missing in a list of all held addresses. It tries the dynamic bands before
// the static ones.
func (a *Allocator) findAddress(ctx context.Context, b *claims[netip.Addr], ranges []Range, age string) (netip.Addr,
	error) {
	all, err := a.addresses.store.List(ctx, age)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("listing the held addresses: %w", err)
	}
	taken := sets.New[string]()
	for _, ip := range all {
		taken.Insert(ip.Name)
	}
	for _, band := range []func(Range) func(func(uint64) bool){upperBand, lowerBand} {
		for _, r := range ranges {
			for n := range band(r) {
				addr := r.at(n)
				if taken.Has(addr.String()) {
					continue
				}
				if err := b.take(ctx, addr); !errors.Is(err, errTaken) {
					return addr, err
				}
			}
		}
	}
	return netip.Addr{}, errFull
}

func upperBand(r Range) func(func(uint64) bool) { return r.upper(rand.Uint64N) }
func lowerBand(r Range) func(func(uint64) bool) { return r.lower(rand.Uint64N) }

// takePort claims a requested port for the owner of b.
func (a *Allocator) takePort(ctx context.Context, b *claims[int32], port int32) error {
	if !a.nodePorts.contains(port) {
		return fmt.Errorf("%w. The range of valid ports is %s", errOutOfRange, a.nodePorts)
	}
	err := b.take(ctx, port)
	a.metrics.port(b, scopeStatic, err)
	return err
}

// portGuesses is the number of random ports that are tried before all held ports are listed. A list is at most as
// long as the range.
const portGuesses = 3

// nextPort claims a free port for the owner of b.
func (a *Allocator) nextPort(ctx context.Context, b *claims[int32]) (int32, error) {
	port, err := a.anyPort(ctx, b)
	a.metrics.port(b, scopeDynamic, err)
	return port, err
}

func (a *Allocator) anyPort(ctx context.Context, b *claims[int32]) (int32, error) {
	bands := a.nodePorts.bands()
	for range portGuesses {
		n, ok := bands.dynamic(rand.Uint64N)
		if !ok {
			break
		}
		if err := b.take(ctx, a.nodePorts.at(n)); !errors.Is(err, errTaken) {
			return a.nodePorts.at(n), err
		}
	}
	taken, err := a.ports.all(ctx, true)
	if err != nil {
		return 0, err
	}
	for _, band := range []func(func(uint64) bool){bands.upper(rand.Uint64N), bands.lower(rand.Uint64N)} {
		for n := range band {
			port := a.nodePorts.at(n)
			if taken[port] != nil {
				continue
			}
			if err := b.take(ctx, port); !errors.Is(err, errTaken) {
				return port, err
			}
		}
	}
	return 0, errFull
}

// endTimeout bounds the release of allocations after a request. The release does not end with the request: a number
// that is not released stays held until the repair pass finds it.
const endTimeout = 10 * time.Second

func (a *Allocator) finish(ctx context.Context, owner Owner, ends ...func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	for _, end := range ends {
		if err := end(ctx); err != nil {
			a.log.Warn("releasing the allocations of a service; the repair pass will retry", "service", owner.String(), "err",
				err)
		}
	}
}

// ReleaseAll releases everything that svc held, for a Service that was deleted. The repair pass releases what cannot
// be released now.
func (a *Allocator) ReleaseAll(ctx context.Context, svc *corev1.Service) {
	t := a.begin(svc, svc, false)
	a.finish(ctx, t.addrs.owner, func(ctx context.Context) error { return t.leave(ctx, t.before) }, t.addrs.commit,
		t.ports.commit)
}
