package proxy

import (
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/routing"
)

// triggers are the times of the changes that EndpointSlices report in an annotation. The time from the change to its
// sync is the network programming latency
// (https://github.com/kubernetes/community/blob/master/sig-scalability/slos/network_programming_latency.md).
type triggers struct {
	began time.Time // earlier changes are not counted: they waited for this process to start
	first map[routing.Name]time.Time
}

// trigger records the time of the change that a slice reports, before the Service is marked. Other objects report no
// time.
func (w *watch) trigger(before, after any) {
	at := triggerOf(after)
	if at.IsZero() || at.Equal(triggerOf(before)) {
		return
	}
	s := after.(*discovery.EndpointSlice) // triggerOf has checked the type
	name := routing.Name{Namespace: s.Namespace, Name: s.Labels[discovery.LabelServiceName]}
	w.mu.Lock()
	defer w.mu.Unlock()
	if was, known := w.first[name]; !at.Before(w.began) && (!known || at.Before(was)) {
		w.first[name] = at
	}
}

// triggerOf returns the time of the change that a slice reports. It returns zero if the slice reports none.
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

// applied returns the ages of the changes that are applied now, for the Services that report a time. It returns each
// age once.
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
