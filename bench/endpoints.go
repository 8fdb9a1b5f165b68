package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// shape is the number of Services, and the number of Pods of each. All are in one namespace.
type shape struct {
	services, pods int
	goal           string
}

// measureEndpoints flips the readiness of one Pod after another. It measures the time from the acknowledged write to
// the Endpoints event at a watcher.
func measureEndpoints(ctx context.Context, b *bench) ([]row, error) {
	var rows []row
	for _, s := range []shape{
		{20, 10, "p50 under 5 ms, p99 under 12 ms"},
		{b.times(200, 4), 50, "p50 under 4 ms, p99 under 12 ms"},
		{1, b.times(1000, 200), "p50 under 12 ms, p99 under 40 ms"},
	} {
		more, err := with(ctx, b, func(u *up) ([]row, error) {
			took, err := u.flips(ctx, s, b.times(1000, 20))
			what := fmt.Sprintf("Pod status write acknowledged → Endpoints event, %d Services × %d Pods", s.services, s.pods)
			return []row{{what, tail(took), s.goal}}, err
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// flips creates the objects of s and measures n changes, one after the other.
func (u *up) flips(ctx context.Context, s shape, n int) ([]time.Duration, error) {
	if _, err := u.load(ctx, s.services, s.pods); err != nil {
		return nil, err
	}
	if err := u.awaitMembers(ctx, s.services*s.pods); err != nil {
		return nil, err
	}
	events, err := u.client.CoreV1().Endpoints(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	defer events.Stop()
	var took []time.Duration
	for i := range n {
		app, pod := i%s.services, i/s.services%s.pods
		ready := i/(s.services*s.pods)%2 == 1
		addr := u.addr(pod*s.services + app)
		if err := u.setStatus(ctx, fmt.Sprintf("s%d-%d", app, pod), addr, ready); err != nil {
			return nil, err
		}
		acknowledged := time.Now()
		if err := await(events, fmt.Sprintf("s%d", app), []string{addr}, ready); err != nil {
			return nil, err
		}
		took = append(took, time.Since(acknowledged))
	}
	return took, nil
}

// awaitTimeout is the time after which a change counts as lost. A change should take milliseconds.
const awaitTimeout = 10 * time.Second

// await reads events until the Endpoints called name have all of addrs (or none of them) among the ready addresses.
func await(events watch.Interface, name string, addrs []string, ready bool) error {
	lost := time.After(awaitTimeout)
	for {
		select {
		case event, ok := <-events.ResultChan():
			if !ok {
				return errors.New("the watch ended")
			}
			ep, ok := event.Object.(*corev1.Endpoints)
			if ok && ep.Name == name && hasAll(ep, addrs, ready) {
				return nil
			}
		case <-lost:
			return fmt.Errorf("endpoints %s did not follow within %s", name, awaitTimeout)
		}
	}
}

func hasAll(ep *corev1.Endpoints, addrs []string, ready bool) bool {
	for _, addr := range addrs {
		in := slices.ContainsFunc(ep.Subsets, func(s corev1.EndpointSubset) bool {
			return slices.ContainsFunc(s.Addresses, func(a corev1.EndpointAddress) bool { return a.IP == addr })
		})
		if in != ready {
			return false
		}
	}
	return true
}
