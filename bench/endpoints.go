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

// The shape in which the goal is given.
const (
	endpointsServices = 20
	endpointsPods     = 10
)

// measureEndpoints flips the readiness of one Pod after another, and takes the time from the acknowledged write to the Endpoints event
// at a watcher.
func measureEndpoints(ctx context.Context, b *bench) ([]row, error) {
	return with(ctx, b, func(u *up) ([]row, error) {
		for s := range endpointsServices {
			if _, err := u.makeService(ctx, fmt.Sprintf("s%d", s), addrsOf(u, s)); err != nil {
				return nil, err
			}
		}
		if err := u.settle(ctx); err != nil {
			return nil, err
		}
		events, err := u.client.CoreV1().Endpoints(namespace).Watch(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		defer events.Stop()
		took, err := flipReadiness(ctx, u, events, b.times(1000, 20))
		what := fmt.Sprintf("Pod status write acknowledged → Endpoints event, %d Services × %d Pods", endpointsServices, endpointsPods)
		return []row{{what, tail(took), "p50 under 5 ms, p99 under 12 ms"}}, err
	})
}

// settle waits until every Service has all its Pods.
func (u *up) settle(ctx context.Context) error {
	for from := time.Now(); time.Since(from) < awaitTimeout; {
		settled := true
		for s := range endpointsServices {
			ep, err := u.client.CoreV1().Endpoints(namespace).Get(ctx, fmt.Sprintf("s%d", s), metav1.GetOptions{})
			settled = settled && err == nil && hasAll(ep, addrsOf(u, s), true)
		}
		if settled {
			return nil
		}
	}
	return fmt.Errorf("the endpoints were not complete within %s", awaitTimeout)
}

func addrsOf(u *up, service int) []string {
	var addrs []string
	for p := range endpointsPods {
		addrs = append(addrs, u.addr(service*endpointsPods+p))
	}
	return addrs
}

func flipReadiness(ctx context.Context, u *up, events watch.Interface, n int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range n {
		s, p := i%endpointsServices, i/endpointsServices%endpointsPods
		ready := i/(endpointsServices*endpointsPods)%2 == 1
		addr := u.addr(s*endpointsPods + p)
		if err := u.setStatus(ctx, fmt.Sprintf("s%d-%d", s, p), addr, ready); err != nil {
			return nil, err
		}
		acknowledged := time.Now()
		if err := await(events, fmt.Sprintf("s%d", s), []string{addr}, ready); err != nil {
			return nil, err
		}
		took = append(took, time.Since(acknowledged))
	}
	return took, nil
}

// awaitTimeout is when a change that should take milliseconds counts as lost.
const awaitTimeout = 10 * time.Second

// await reads events until the Endpoints called name have all of addrs among the ready ones (or none of them).
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
