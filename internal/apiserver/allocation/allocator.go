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

// Config is what an Allocator works with.
type Config struct {
	// Families are those that Services may have, the primary first. They come from the server's own ranges, not from the
	// ServiceCIDR objects, as upstream's do.
	Families  []corev1.IPFamily
	NodePorts PortRange // the zero value: DefaultNodePorts

	Addresses Store[*networkingv1.IPAddress]
	Ranges    Reader[*networkingv1.ServiceCIDR]
	KV        clientv3.KV // where ports are recorded
	Log       *slog.Logger
}

// Allocator gives Services what they need. It holds no state: any number of them may work over one store, and all
// methods may be called at once.
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

// Families are those that Services may have, the primary first.
func (a *Allocator) Families() []corev1.IPFamily { return a.families }

// ready lists the ranges of a family that addresses may be taken from now.
func (a *Allocator) ready(ctx context.Context, family corev1.IPFamily) ([]Range, error) {
	cidrs, err := a.ranges.List(ctx, anyVersion)
	if err != nil {
		return nil, fmt.Errorf("reading the service CIDRs: %w", err)
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

// takeAddress gives the owner of b the address that it asked for.
func (a *Allocator) takeAddress(ctx context.Context, b *book[netip.Addr], addr netip.Addr) error {
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

// guesses is how many random addresses of a range are looked at before all that are held are listed. Up to a range that
// is nine tenths full, fewer than one allocation in thirty has to.
const guesses = 32

// nextAddress gives the owner of b a free address of a family. Its cost depends on how full the ranges are, not on how
// large: while they are not nearly full it reads a few keys of a cache.
func (a *Allocator) nextAddress(ctx context.Context, b *book[netip.Addr], family corev1.IPFamily) (netip.Addr, error) {
	began := time.Now()
	ranges, err := a.ready(ctx, family)
	if err != nil {
		return netip.Addr{}, err
	}
	addr, err := a.anyAddress(ctx, b, ranges)
	a.metrics.address(b, ranges, scopeDynamic, began, addr, err)
	return addr, err
}

func (a *Allocator) anyAddress(ctx context.Context, b *book[netip.Addr], ranges []Range) (netip.Addr, error) {
	for _, r := range ranges {
		addr, err := a.guessAddress(ctx, b, r)
		if !errors.Is(err, errFull) {
			return addr, err
		}
	}
	// A list that is a moment old may show as held what was just freed. So only the latest one is believed when it says
	// "full".
	for _, age := range []string{anyVersion, latest} {
		addr, err := a.findAddress(ctx, b, ranges, age)
		if !errors.Is(err, errFull) {
			return addr, err
		}
	}
	return netip.Addr{}, errFull
}

// guessAddress tries random addresses of the dynamic band. errFull says that it was out of luck.
func (a *Allocator) guessAddress(ctx context.Context, b *book[netip.Addr], r Range) (netip.Addr, error) {
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

// findAddress takes an address that a list of all held ones does not show: of the dynamic bands if there is any, else
// of the static ones.
func (a *Allocator) findAddress(ctx context.Context, b *book[netip.Addr], ranges []Range, age string) (netip.Addr,
	error) {
	all, err := a.addresses.store.List(ctx, age)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the addresses held: %w", err)
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

// takePort gives the owner of b the port that it asked for.
func (a *Allocator) takePort(ctx context.Context, b *book[int32], port int32) error {
	if !a.nodePorts.contains(port) {
		return fmt.Errorf("%w. The range of valid ports is %s", errOutOfRange, a.nodePorts)
	}
	err := b.take(ctx, port)
	a.metrics.port(b, scopeStatic, err)
	return err
}

// portGuesses is how many random ports are tried before all that are held are listed: a list is at most as long as the
// range.
const portGuesses = 3

// nextPort gives the owner of b a free port.
func (a *Allocator) nextPort(ctx context.Context, b *book[int32]) (int32, error) {
	port, err := a.anyPort(ctx, b)
	a.metrics.port(b, scopeDynamic, err)
	return port, err
}

func (a *Allocator) anyPort(ctx context.Context, b *book[int32]) (int32, error) {
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

// endTimeout bounds the release of what a request gives up. It does not end with the request: what is not released is
// held for nobody until the repair pass finds it.
const endTimeout = 10 * time.Second

func (a *Allocator) finish(ctx context.Context, owner Owner, ends ...func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	for _, end := range ends {
		if err := end(ctx); err != nil {
			a.log.Warn("releasing what a service held; the repair pass will", "service", owner.String(), "err", err)
		}
	}
}

// ReleaseAll gives up all that svc held; it is for a Service that is gone. What cannot be released now is left to the
// repair pass.
func (a *Allocator) ReleaseAll(ctx context.Context, svc *corev1.Service) {
	t := a.begin(svc, svc, false)
	a.finish(ctx, t.addrs.owner, func(ctx context.Context) error { return t.leave(ctx, t.before) }, t.addrs.keep,
		t.ports.keep)
}
