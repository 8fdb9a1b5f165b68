package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The size for which the goal is given.
const (
	loadServices = 200
	loadPods     = 50 // per Service
	loadClients  = 16
	loadNodes    = 100 // the nodes of the Pods; this host is none of them
)

// measurePods fills an API server that runs alone.
func measurePods(ctx context.Context, b *bench) ([]row, error) {
	return withCommand(ctx, b, serverOnly, func(u *up) ([]row, error) {
		services := b.times(loadServices, 4)
		rate, err := u.load(ctx, services, loadPods)
		what := fmt.Sprintf("%d Pods created and made ready in `viaduct server`, %d clients", services*loadPods, loadClients)
		return []row{{what, fmt.Sprintf("%.0f Pods/s", rate), "400 Pods/s"}}, err
	})
}

// measureLoad fills a server with Services and ready Pods by several clients at once, while the controllers and the
// proxy run. It then reads the memory of the server.
func measureLoad(ctx context.Context, b *bench) ([]row, error) {
	return with(ctx, b, func(u *up) ([]row, error) {
		services := b.times(loadServices, 4)
		rate, err := u.load(ctx, services, loadPods)
		if err != nil {
			return nil, err
		}
		filled := time.Now()
		if err := u.awaitMembers(ctx, services*loadPods); err != nil {
			return nil, err
		}
		behind := time.Since(filled)
		memory, err := u.memoryWhenIdle(ctx, b)
		what := fmt.Sprintf("%d Pods behind %d Services", services*loadPods, services)
		return []row{
			{fmt.Sprintf("%s, each created and made ready in `viaduct up`, %d clients", what, loadClients),
				fmt.Sprintf("%.0f Pods/s", rate), "reported"},
			{"from the last of those writes until Endpoints hold all Pods", ms(behind), "reported"},
			{"resident memory of `viaduct up` with " + what, memory, "under 350 MB"},
		}, err
	})
}

// load creates the Services s0, s1, … and, by several clients, the Pods of each: s0-0, s0-1, … It returns the number of
// Pods per second.
func (u *up) load(ctx context.Context, services, pods int) (float64, error) {
	clients, err := u.clients(loadClients)
	if err != nil {
		return 0, err
	}
	for s := range services {
		if _, err := u.makeService(ctx, fmt.Sprintf("s%d", s), nil); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := fill(ctx, clients, services, pods); err != nil {
		return 0, err
	}
	return float64(services*pods) / time.Since(began).Seconds(), nil
}

// fill creates the Pods, each by one of the clients. A Pod takes two writes: the Pod and its status.
func fill(ctx context.Context, clients []*up, services, pods int) error {
	var work errgroup.Group
	for c, client := range clients {
		work.Go(func() error {
			for i := c; i < services*pods; i += len(clients) {
				app := fmt.Sprintf("s%d", i%services)
				pod := fmt.Sprintf("%s-%d", app, i/services)
				if err := client.makePod(ctx, pod, app, fmt.Sprintf("node-%d", i%loadNodes)); err != nil {
					return err
				}
				if err := client.setStatus(ctx, pod, client.addr(i), true); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// clients returns n clients of u with a connection each.
func (u *up) clients(n int) ([]*up, error) {
	var out []*up
	for range n {
		own := *u
		// A dialer of its own keeps a client's transport from being shared.
		if err := own.connectBy((&net.Dialer{}).DialContext); err != nil {
			return nil, err
		}
		out = append(out, &own)
	}
	return out, nil
}

// awaitMembers waits until the Endpoints of all Services together hold this many ready Pods.
func (u *up) awaitMembers(ctx context.Context, want int) error {
	for from := time.Now(); time.Since(from) < 2*awaitTimeout; {
		list, err := u.client.CoreV1().Endpoints(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		members := 0
		for _, ep := range list.Items {
			members += ready(&ep)
		}
		if members >= want {
			return nil
		}
	}
	return fmt.Errorf("the endpoints were not complete within %s", 2*awaitTimeout)
}

// ready returns the number of ready addresses of Pods.
func ready(ep *corev1.Endpoints) int {
	n := 0
	for _, s := range ep.Subsets {
		for _, a := range s.Addresses {
			if a.TargetRef != nil {
				n++
			}
		}
	}
	return n
}
