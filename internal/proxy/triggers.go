package proxy

import (
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/routing"
)

// triggers are when what the slices tell happened: the difference to when it is applied is the network programming
// latency (https://github.com/kubernetes/community/blob/master/sig-scalability/slos/network_programming_latency.md).
type triggers struct {
	began time.Time // what happened before is not counted: it waited for this process to start
	first map[routing.Name]time.Time
}

// trigger takes note of when what a slice tells happened, before the Service is marked. Other objects do not tell.
func (w *watch) trigger(before, after any) {
	at := triggerOf(after)
	if at.IsZero() || at.Equal(triggerOf(before)) {
		return
	}
	s := after.(*discovery.EndpointSlice) // triggerOf says so
	name := routing.Name{Namespace: s.Namespace, Name: s.Labels[discovery.LabelServiceName]}
	w.mu.Lock()
	defer w.mu.Unlock()
	if was, known := w.first[name]; !at.Before(w.began) && (!known || at.Before(was)) {
		w.first[name] = at
	}
}

// triggerOf is when the change happened that a slice tells of; zero if it does not say.
func triggerOf(obj any) time.Time {
	s, ok := obj.(*discovery.EndpointSlice)
	if !ok {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, s.Annotations[v1.EndpointsLastChangeTriggerTime])
	if err != nil {
		return time.Time{}
	}
	return at
}

// applied returns how long ago what is applied now happened, of each Service that tells; they are told once.
func (w *watch) applied(names []routing.Name, now time.Time) (ages []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		if at, known := w.first[name]; known {
			ages = append(ages, now.Sub(at))
			delete(w.first, name)
		}
	}
	return ages
}
