package proxy

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"

	"viaduct/internal/apiclient"
	"viaduct/internal/routing"
)

// complaints writes Warning Events for problems of Services. It writes one Event when a problem appears, and another
// when the cause of the problem changes.
type complaints struct {
	client kubernetes.Interface
	host   string
	record record.EventRecorder // set by start

	told map[routing.Name][]problem // belongs to the loop's goroutine; the problems that have an Event already
}

func newComplaints(client kubernetes.Interface, host string) *complaints {
	return &complaints{client: client, host: host, told: map[routing.Name][]problem{}}
}

// start starts the event recorder. stop ends it.
func (c *complaints) start() (stop func()) {
	c.record, stop = apiclient.NewRecorder(c.client, v1.EventSource{Component: "viaduct-proxy", Host: c.host})
	return stop
}

// report gets all problems of the named Services, and writes an Event for each new problem.
func (c *complaints) report(services corelisters.ServiceLister, now map[routing.Name][]problem) {
	for name, list := range now {
		before := c.told[name]
		c.told[name] = list
		if len(list) == 0 {
			delete(c.told, name)
		}
		svc, err := services.Services(name.Namespace).Get(name.Name)
		if err != nil {
			continue // the Service was deleted in the meantime
		}
		for _, p := range list {
			if p.reason != "" && !slices.Contains(before, p) {
				c.record.Event(svc, v1.EventTypeWarning, p.reason, p.text)
			}
		}
	}
}
