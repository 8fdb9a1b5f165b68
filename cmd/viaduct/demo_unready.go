package main

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

// avoidedVisits is how many connections in a row must avoid an unready Pod before the tour believes it.
const avoidedVisits = 500

// unready makes one Pod say it is not ready, and measures how the news travels.
func (t *tour) unready(ctx context.Context) error {
	t.title(fmt.Sprintf("Pod %s stops being ready: it goes on running, but gets no new connection", unreadyPod),
		"kubectl get endpoints hello -w")
	pod, err := t.client.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, unreadyPod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading Pod %s: %w", unreadyPod, err)
	}
	addr, err := t.serviceAddress(ctx, helloService)
	if err != nil {
		return err
	}
	news := t.watchNews(ctx, pod.Status.PodIP)
	changed := make(chan struct{})
	visits := make(chan visitLog, 1)
	go func() { visits <- t.visitor.untilAvoided(ctx, "http://"+addr+"/", unreadyPod, changed) }()
	said := time.Now()
	if _, err := t.tell(ctx, http.MethodPost, pod.Status.PodIP, "/ready?ok=false"); err != nil {
		return err
	}
	travelled, err := news()
	if err != nil {
		return err
	}
	close(changed)
	log := <-visits
	if log.err != nil {
		return fmt.Errorf("visiting Service %s: %w", helloService, log.err)
	}
	t.tellNews(said, travelled, log)
	_, err = t.tell(ctx, http.MethodPost, pod.Status.PodIP, "/ready?ok=true") // for those who --keep
	return err
}

// travel is when each stage heard that a Pod is not ready.
type travel struct{ status, endpoints time.Time }

// watchNews watches the Pod and the Endpoints from now on; the function it returns waits for both.
func (t *tour) watchNews(ctx context.Context, ip string) func() (travel, error) {
	var at travel
	var podErr, endpointsErr error
	pod, endpoints := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(pod)
		_, podErr = t.awaitPod(ctx, unreadyPod, func(p *v1.Pod) bool { return !isReady(p) })
		at.status = time.Now()
	}()
	go func() {
		defer close(endpoints)
		_, endpointsErr = t.awaitEndpoints(ctx, helloService, func(ep *v1.Endpoints) bool { return !lists(ep, ip) })
		at.endpoints = time.Now()
	}()
	return func() (travel, error) {
		<-pod
		<-endpoints
		return at, errors.Join(podErr, endpointsErr)
	}
}

func (t *tour) tellNews(said time.Time, at travel, log visitLog) {
	t.say("%8.1f ms  until its readiness probe, every second, noticed and the Pod's status said so",
		milliseconds(at.status.Sub(said)))
	t.say("%8.1f ms  more until Endpoints hello no longer listed it", milliseconds(at.endpoints.Sub(at.status)))
	switch late := log.last.Sub(at.status); {
	case log.last.IsZero() || late <= 0:
		t.say("%8.1f ms  more until connections avoided it: none that began after the status change reached it", 0.0)
	default:
		t.say("%8.1f ms  after the status change the last connection began that reached it", milliseconds(late))
	}
	t.say("Of %d connections meanwhile none failed, and the last %d in a row avoided it.", log.total, avoidedVisits)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// visitLog sums up a row of connections, one after the other.
type visitLog struct {
	total int
	last  time.Time // when the last one began that reached the Pod; zero: none did
	err   error     // why the row ended too early
}

// untilAvoided asks again and again; once changed is closed, until avoidedVisits connections in a row have avoided pod.
func (v *visitor) untilAvoided(ctx context.Context, url, pod string, changed <-chan struct{}) (log visitLog) {
	for inARow := 0; inARow < avoidedVisits; log.total++ {
		began := time.Now()
		who, err := v.ask(ctx, url)
		if err != nil {
			log.err = err
			return log
		}
		inARow++
		if strings.HasPrefix(who, pod+" ") {
			inARow, log.last = 0, began
		}
		select {
		case <-changed:
		default:
			inARow = 0
		}
	}
	return log
}
