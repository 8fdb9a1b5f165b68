package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// avoidedRequests is how many connections in a row must avoid a Pod that is not ready.
const avoidedRequests = 500

// unready makes one Pod stop being ready, and measures how long each part of Viaduct takes to react.
func (t *tour) unready(ctx context.Context) error {
	t.title(fmt.Sprintf("Pod %s stops being ready: it keeps running, but gets no new connections", unreadyPod),
		"kubectl get endpoints hello -w")
	pod, err := t.api.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, unreadyPod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading Pod %s: %w", unreadyPod, err)
	}
	addr, err := t.serviceAddress(ctx, helloService)
	if err != nil {
		return err
	}
	reacted := t.watchReaction(ctx, pod.Status.PodIP)
	removed := make(chan struct{})
	requests := make(chan requestLog, 1)
	go func() { requests <- t.requests.untilAvoided(ctx, "http://"+addr+"/", unreadyPod, removed) }()
	start := time.Now()
	if _, err := t.askPod(ctx, http.MethodPost, pod.Status.PodIP, "/ready?ok=false"); err != nil {
		return err
	}
	at, err := reacted()
	if err != nil {
		return err
	}
	close(removed)
	log := <-requests
	if log.err != nil {
		return fmt.Errorf("sending requests to Service %s: %w", helloService, log.err)
	}
	t.sayReaction(start, at, log)
	_, err = t.askPod(ctx, http.MethodPost, pod.Status.PodIP, "/ready?ok=true") // for --keep
	return err
}

// A reaction is when a Pod's status and its Endpoints showed that the Pod is not ready.
type reaction struct{ status, endpoints time.Time }

// watchReaction starts to watch the Pod and the Endpoints. The returned function waits for both.
func (t *tour) watchReaction(ctx context.Context, ip string) func() (reaction, error) {
	var at reaction
	var podErr, endpointsErr error
	pod, endpoints := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(pod)
		_, podErr = t.waitForPod(ctx, unreadyPod, func(p *v1.Pod) bool { return !isReady(p) })
		at.status = time.Now()
	}()
	go func() {
		defer close(endpoints)
		_, endpointsErr = t.waitForEndpoints(ctx, helloService, func(ep *v1.Endpoints) bool { return !lists(ep, ip) })
		at.endpoints = time.Now()
	}()
	return func() (reaction, error) {
		<-pod
		<-endpoints
		return at, errors.Join(podErr, endpointsErr)
	}
}

func (t *tour) sayReaction(start time.Time, at reaction, log requestLog) {
	t.say("%8.1f ms  until the readiness probe (every second) failed and the Pod's status showed it",
		milliseconds(at.status.Sub(start)))
	t.say("%8.1f ms  more until Endpoints hello no longer listed the Pod", milliseconds(at.endpoints.Sub(at.status)))
	switch late := log.last.Sub(at.status); {
	case log.last.IsZero() || late <= 0:
		t.say("%8.1f ms  more until connections avoided it: none that began after the status change reached it", 0.0)
	default:
		t.say("%8.1f ms  after the status change, the last connection that reached it began", milliseconds(late))
	}
	t.say("Of %d connections meanwhile none failed, and the last %d in a row avoided the Pod.", log.total, avoidedRequests)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// A requestLog sums up a series of requests.
type requestLog struct {
	total int
	last  time.Time // when the last request began that reached the Pod; zero if none did
	err   error     // why the series ended early
}

// untilAvoided sends one request after the other. Once removed is closed, it ends when avoidedRequests requests in a
// row have been answered by servers other than pod.
func (r *requester) untilAvoided(ctx context.Context, url, pod string, removed <-chan struct{}) (log requestLog) {
	for inARow := 0; inARow < avoidedRequests; log.total++ {
		began := time.Now()
		who, err := r.who(ctx, url)
		if err != nil {
			log.err = err
			return log
		}
		inARow++
		if strings.HasPrefix(who, pod+" ") {
			inARow, log.last = 0, began
		}
		select {
		case <-removed:
		default:
			inARow = 0
		}
	}
	return log
}
