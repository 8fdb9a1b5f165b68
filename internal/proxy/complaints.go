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

// complaints writes Warning Events for what is not served: one when a problem appears, and another when its cause
// changes.
type complaints struct {
	client kubernetes.Interface
	host   string
	record record.EventRecorder // set by start

	told map[routing.Name][]problem // belongs to the loop's goroutine
}

func newComplaints(client kubernetes.Interface, host string) *complaints {
	return &complaints{client: client, host: host, told: map[routing.Name][]problem{}}
}

// start begins to send Events and returns what ends that.
func (c *complaints) start() (stop func()) {
	c.record, stop = apiclient.NewRecorder(c.client, v1.EventSource{Component: "viaduct-proxy", Host: c.host})
	return stop
}

// report takes all the problems of the Services named, and tells those that are news.
func (c *complaints) report(services corelisters.ServiceLister, now map[routing.Name][]problem) {
	for name, list := range now {
		before := c.told[name]
		c.told[name] = list
		if len(list) == 0 {
			delete(c.told, name)
		}
		svc, err := services.Services(name.Namespace).Get(name.Name)
		if err != nil {
			continue // gone in the meantime: nobody to tell
		}
		for _, p := range list {
			if p.reason != "" && !slices.Contains(before, p) {
				c.record.Event(svc, v1.EventTypeWarning, p.reason, p.text)
			}
		}
	}
}
