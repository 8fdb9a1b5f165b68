// Package collect reads the inputs of package explain from an API server, from the proxy of this node and from the
// node's kernel. It decides nothing.
package collect

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/explain"
	"viaduct/internal/membership"
)

// A Collector reads from one API server, for one namespace.
type Collector struct {
	API       kubernetes.Interface
	Namespace string
	Proxy     string // URL of this node's proxy; "": the proxy is not queried
	Probe     bool   // connect to each address that gets connections

	// NodeName returns the name of this node. It is called only if no proxy answers.
	NodeName func() (string, error)
}

// readTimeout is the time limit for reading all inputs of one report.
const readTimeout = 30 * time.Second

// Service reports on the Service of that name. The error comes from the API server; apierrors.IsNotFound is true if
// there is no such Service.
func (c *Collector) Service(ctx context.Context, name string) (explain.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	snapshot, err := c.snapshot(ctx, name)
	if err != nil {
		return explain.Report{}, c.where(err)
	}
	return explain.Service(snapshot), nil
}

// Endpoints reports on the Service with the name of an Endpoints object. The object may have no Service.
func (c *Collector) Endpoints(ctx context.Context, name string) (explain.Report, error) {
	report, err := c.Service(ctx, name)
	if !apierrors.IsNotFound(err) {
		return report, err
	}
	if _, err := c.API.CoreV1().Endpoints(c.Namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
		return explain.Report{}, c.where(err)
	}
	return explain.Report{Kind: "Endpoints", Namespace: c.Namespace, Name: name,
		Verdict: fmt.Sprintf("There is no Service %s: no connections are sent to these addresses.", name)}, nil
}

// Pod reports on the Pod of that name.
func (c *Collector) Pod(ctx context.Context, name string) (explain.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	pod, err := c.API.CoreV1().Pods(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return explain.Report{}, c.where(err)
	}
	services, err := c.API.CoreV1().Services(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return explain.Report{}, err
	}
	return explain.Pod(pod, pointers(services.Items)), nil
}

// where adds the namespace to a NotFound error.
func (c *Collector) where(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w in namespace %s", err, c.Namespace)
	}
	return err
}

// snapshot reads all inputs for one Service, and calls Decide.
func (c *Collector) snapshot(ctx context.Context, name string) (explain.Snapshot, error) {
	s := explain.Snapshot{Now: time.Now()}
	s.Controllers = membership.AllControllers()
	if err := c.readNamespace(ctx, &s, name); err != nil {
		return s, err
	}
	nodes := c.readClusterWide(ctx, &s)
	s.Decision = membership.Decide(s.Inputs)
	c.askProxy(ctx, &s, nodes)
	if c.Probe {
		s.Probes = probeAll(ctx, explain.Ready(s))
	}
	return s, nil
}

// readNamespace reads the objects of the namespace.
func (c *Collector) readNamespace(ctx context.Context, s *explain.Snapshot, name string) (err error) {
	core := c.API.CoreV1()
	if s.Service, err = core.Services(c.Namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
		return err
	}
	pods, err := core.Pods(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	s.Pods = pointers(pods.Items)
	ep, err := core.Endpoints(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		s.Endpoints = ep
	} else if !apierrors.IsNotFound(err) {
		return err
	}
	list, err := c.API.DiscoveryV1().EndpointSlices(c.Namespace).List(ctx,
		metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=" + name})
	if err != nil {
		return err
	}
	s.Slices = pointers(list.Items)
	if events, err := core.Events(c.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" +
		name}); err == nil {
		s.Events = pointers(events.Items)
	}
	return nil
}

// readClusterWide reads the objects outside the namespace. Objects that the caller may not read are left out.
func (c *Collector) readClusterWide(ctx context.Context, s *explain.Snapshot) (nodes []*v1.Node) {
	core := c.API.CoreV1()
	s.Topology = membership.NewTopology()
	if list, err := core.Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		nodes = pointers(list.Items)
		for _, n := range nodes {
			s.Topology.Set(n)
		}
	}
	everywhere := s.Pods
	options := metav1.ListOptions{}
	if membership.HasSelector(s.Service) {
		options.LabelSelector = labels.SelectorFromSet(s.Service.Spec.Selector).String()
	}
	if pods, err := core.Pods("").List(ctx, options); err == nil {
		everywhere = pointers(pods.Items)
	}
	if membership.HasSelector(s.Service) {
		s.Elsewhere = slices.DeleteFunc(slices.Clone(everywhere), func(p *v1.Pod) bool { return p.Namespace == c.Namespace })
		return nodes
	}
	s.Lookups.Pods = podLookups(s.Pods, everywhere)
	return nodes
}

// podLookups finds Pods of the namespace by name, and Pods of all namespaces by address.
func podLookups(own, everywhere []*v1.Pod) membership.Pods {
	at, named := map[netip.Addr][]*v1.Pod{}, map[string]*v1.Pod{}
	for _, p := range everywhere {
		for _, addr := range membership.Addresses(p) {
			at[addr] = append(at[addr], p)
		}
	}
	for _, p := range own {
		named[p.Name] = p
	}
	return membership.Pods{Named: func(name string) *v1.Pod { return named[name] },
		At: func(addr netip.Addr) []*v1.Pod { return at[addr] }}
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
