package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	proxyEndpoints = 3
	proxyClients   = 2
	proxyRounds    = 15
	proxyRound     = 500 * time.Millisecond
)

// load is one round of short connections at full speed.
type load struct {
	perSecond float64
	p99       time.Duration
}

// measureProxy alternates rounds of short connections straight to a Pod with rounds through the Service. It compares
// each round with its neighbour, because other load on the machine affects both.
func measureProxy(ctx context.Context, b *bench) ([]row, error) {
	return with(ctx, b, func(u *up) ([]row, error) {
		var addrs []string
		for i := range proxyEndpoints {
			addrs = append(addrs, u.addr(i))
			stop, err := answer(net.JoinHostPort(u.addr(i), fmt.Sprint(servicePort)))
			if err != nil {
				return nil, err
			}
			defer stop()
		}
		clusterIP, err := u.makeService(ctx, "load", addrs)
		if err != nil {
			return nil, err
		}
		direct := net.JoinHostPort(addrs[0], fmt.Sprint(servicePort))
		proxied := net.JoinHostPort(clusterIP, fmt.Sprint(servicePort))
		if _, err := untilReached(proxied, true); err != nil {
			return nil, err
		}
		return compare(direct, proxied, b.times(proxyRounds, 1))
	})
}

func compare(direct, proxied string, rounds int) ([]row, error) {
	var rate, p99 []float64
	var straight, through []load
	for range rounds {
		d, err := hammer(direct)
		if err != nil {
			return nil, err
		}
		p, err := hammer(proxied)
		if err != nil {
			return nil, err
		}
		straight, through = append(straight, d), append(through, p)
		rate, p99 = append(rate, p.perSecond/d.perSecond), append(p99, float64(p.p99)/float64(d.p99))
	}
	return []row{
		{"short TCP connections through the userspace proxy, rate as a ratio to direct",
			fmt.Sprintf("%.2f (median; %.0f/s and %.0f/s)",
				median(rate), medianRate(through), medianRate(straight)), "reported"},
		{"the same, p99 as a ratio to direct", fmt.Sprintf("%.1f", median(p99)), "reported"},
	}, nil
}

// hammer makes connections from a few clients for one round. A failed connection is an error.
func hammer(target string) (load, error) {
	var mu sync.Mutex // protects took and failed
	var took []time.Duration
	var failed error
	var clients sync.WaitGroup
	from := time.Now()
	for range proxyClients {
		clients.Go(func() {
			var mine []time.Duration
			var err error
			for time.Since(from) < proxyRound && err == nil {
				var d time.Duration
				d, err = request(target)
				mine = append(mine, d)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil {
				failed = err
			}
		})
	}
	clients.Wait()
	return load{float64(len(took)) / time.Since(from).Seconds(), quantile(took, 0.99)}, failed
}

func median(v []float64) float64 {
	sorted := slices.Clone(v)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

func medianRate(l []load) float64 {
	var v []float64
	for _, x := range l {
		v = append(v, x.perSecond)
	}
	return median(v)
}
