package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// measureStorm makes half of the Pods of one large Service unready at once, by many clients. It measures the time until
// Endpoints and EndpointSlices are right. It also counts what every watcher has to read meanwhile.
func measureStorm(ctx context.Context, b *bench) ([]row, error) {
	return with(ctx, b, func(u *up) ([]row, error) {
		pods := b.times(1000, 100)
		if _, err := u.load(ctx, 1, pods); err != nil {
			return nil, err
		}
		if err := u.awaitMembers(ctx, pods); err != nil {
			return nil, err
		}
		var behind []time.Duration
		var writes, bytes int
		runs := b.times(5, 1)
		for run := range runs {
			s, err := u.storm(ctx, pods, run%2 == 1)
			if err != nil {
				return nil, err
			}
			behind = append(behind, s.behind)
			writes, bytes = writes+s.writes, bytes+s.bytes
		}
		what := fmt.Sprintf("%d of %d Pods of one Service flip at once, %d clients", pods/2, pods, loadClients)
		return []row{
			{what + ": last write acknowledged → Endpoints and slices right", summary(behind), "under 100 ms"},
			{"the same: Endpoints writes, and the size of all their events", fmt.Sprintf("%d writes, %.2f MB", writes/runs,
				float64(bytes)/float64(runs)/1e6), "under 16 writes, 1.5 MB"},
		}, nil
	})
}

// stormy is the result of one storm of changes.
type stormy struct {
	behind        time.Duration // after the last acknowledged write; 0: it was right by then
	writes, bytes int           // of Endpoints
}

func (u *up) storm(ctx context.Context, pods int, ready bool) (stormy, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*awaitTimeout)
	defer cancel()
	clients, err := u.clients(loadClients)
	if err != nil {
		return stormy{}, err
	}
	endpoints, err := u.client.CoreV1().Endpoints(namespace).Watch(ctx,
		metav1.ListOptions{FieldSelector: "metadata.name=s0"})
	if err != nil {
		return stormy{}, err
	}
	defer endpoints.Stop()
	want := pods / 2
	if ready {
		want = pods
	}
	var s stormy
	var right time.Time
	var seen errgroup.Group
	seen.Go(func() error {
		var err error
		s, right, err = u.awaitStorm(ctx, endpoints, want)
		return err
	})
	if err := flipHalf(ctx, clients, pods, ready); err != nil {
		return stormy{}, err
	}
	last := time.Now()
	if err := seen.Wait(); err != nil {
		return stormy{}, err
	}
	s.behind = max(0, right.Sub(last))
	return s, nil
}

func flipHalf(ctx context.Context, clients []*up, pods int, ready bool) error {
	var work errgroup.Group
	for c, client := range clients {
		work.Go(func() error {
			for i := c; i < pods/2; i += len(clients) {
				if err := client.setStatus(ctx, fmt.Sprintf("s0-%d", i), client.addr(i), ready); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// awaitStorm counts the Endpoints events until first the Endpoints and then the slices have the right number of ready
// Pods.
func (u *up) awaitStorm(ctx context.Context, endpoints watch.Interface, want int) (stormy, time.Time, error) {
	var s stormy
	for event := range endpoints.ResultChan() {
		ep, ok := event.Object.(*corev1.Endpoints)
		if !ok || event.Type != watch.Modified {
			continue // the state at the start
		}
		s.writes, s.bytes = s.writes+1, s.bytes+ep.Size()
		if ready(ep) != want {
			continue
		}
		for ctx.Err() == nil {
			n, err := u.readyInSlices(ctx, "s0")
			if err != nil || n == want {
				return s, time.Now(), err
			}
		}
	}
	return s, time.Time{}, errors.Join(ctx.Err(), errors.New("endpoints s0 did not follow"))
}

func (u *up) readyInSlices(ctx context.Context, service string) (int, error) {
	list, err := u.client.DiscoveryV1().EndpointSlices(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			if *e.Conditions.Ready {
				n++
			}
		}
	}
	return n, nil
}
