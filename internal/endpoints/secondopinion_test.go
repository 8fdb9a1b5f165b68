package endpoints_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	"k8s.io/endpointslice/topologycache"
	endpointsliceutil "k8s.io/endpointslice/util"
	"k8s.io/klog/v2"
	"viaduct/internal/membership"
)

// difference is one of the points in which the slices are to differ from what the library of Kubernetes makes of the
// same objects. It says how the objects are changed before they are given to the library, for the two to agree. Nothing
// else may differ, but which slice an endpoint is in.
type difference struct {
	name, why string
	agree     func(*stored, *v1.Service)
}

func documentedDifferences() []difference { return []difference{missingNodes(), proportionalHints()} }

func missingNodes() difference {
	return difference{
		name: "a Pod on a node that is not there",
		why: "Upstream leaves the Pod out, and tries again until it gives up; here it is listed, without a zone: that it " +
			"answers is known " +
			"from its readiness, and a node that is registered late must not cost a Service its endpoints.",
		agree: func(s *stored, _ *v1.Service) {
			for i := range s.pods {
				if name := s.pods[i].Spec.NodeName; find(s.nodes, func(n *v1.Node) bool { return n.Name == name }) == nil {
					s.nodes = append(s.nodes, v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
				}
			}
		},
	}
}

func proportionalHints() difference {
	return difference{
		name: "which endpoints are hinted to another zone by CPU",
		why: "Upstream takes them as they come, and what it has depends on what it had; here it is the first ones, and " +
			"what is hinted " +
			"already. How many each zone gets agrees: see the tests of package membership.",
		agree: func(s *stored, svc *v1.Service) {
			if !membership.Proportional(svc) {
				return
			}
			svc.Annotations, svc.Spec.TrafficDistribution = nil, nil
			for _, es := range s.slicesOf(keyOf(svc), ours) {
				for i := range es.Endpoints {
					es.Endpoints[i].Hints = nil
				}
			}
		},
	}
}

// settled are the objects as they are after some differences.
func (s stored) settled(svc *v1.Service, by ...difference) (stored, *v1.Service) {
	s.nodes, svc = slices.Clone(s.nodes), svc.DeepCopy()
	s.slices = slices.Clone(s.slices)
	for i := range s.slices {
		s.slices[i] = *s.slices[i].DeepCopy()
	}
	for _, d := range by {
		d.agree(&s, svc)
	}
	return s, svc
}

// upstream has the library reconcile the slices of svc, through client, from what s holds.
func upstream(client kubernetes.Interface, s stored, svc *v1.Service) error {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	topology, nodes := topologycache.NewTopologyCache(), []*v1.Node{}
	for i := range s.nodes {
		if err := indexer.Add(&s.nodes[i]); err != nil {
			return err
		}
		nodes = append(nodes, &s.nodes[i])
	}
	topology.SetNodes(klog.Background(), nodes)
	var selected []*v1.Pod
	for _, p := range s.podsIn(svc.Namespace) {
		if chosen(svc, p) {
			selected = append(selected, p)
		}
	}
	var have []*discovery.EndpointSlice
	for _, es := range s.slicesOf(keyOf(svc), ours) {
		have = append(have, es.DeepCopy()) // the library sorts within what it is given
	}
	return endpointslice.NewReconciler(client, corelisters.NewNodeLister(indexer), 100,
		endpointsliceutil.NewEndpointSliceTracker(), topology,
		record.NewFakeRecorder(100), ours, endpointslice.WithPreferSameTrafficDistributionEnabled(true)).
		Reconcile(klog.Background(), svc, selected, have, time.Time{})
}

// selecting are the Services that upstream's controller keeps slices of.
func (s stored) selecting() []*v1.Service {
	var services []*v1.Service
	for i := range s.services {
		if svc := &s.services[i]; len(svc.Spec.Selector) > 0 && svc.Spec.Type != v1.ServiceTypeExternalName {
			services = append(services, svc)
		}
	}
	return services
}

// disputed says where the library of Kubernetes would have the slices otherwise: what it makes of nothing has other
// endpoints, or what is there it would write to.
func disputed(ctx context.Context, s stored, agreed ...difference) []string {
	var wrong []string
	for _, svc := range s.selecting() {
		if svc.DeletionTimestamp != nil { // neither makes slices of what is ending
			continue
		}
		s, svc := s.settled(svc, agreed...)
		fromNothing := s
		fromNothing.slices = nil
		made, _, err := opinion(ctx, fromNothing, svc)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: upstream's library: %v", keyOf(svc), err))
		}
		wrong = append(wrong, unlike(keyOf(svc).String(), spellEach(s.slicesOf(keyOf(svc), ours)), spellEach(made))...)
		_, writes, err := opinion(ctx, s, svc)
		if err != nil || len(writes) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s: upstream's library would write %v, with error %v", keyOf(svc), writes, err))
		}
	}
	return wrong
}

// opinion gives the slices that the library leaves of those in s, and what it wrote.
func opinion(ctx context.Context, s stored, svc *v1.Service) (left []*discovery.EndpointSlice, writes []string,
	err error) {
	var objects []runtime.Object
	for _, es := range s.slicesOf(keyOf(svc), ours) {
		objects = append(objects, es.DeepCopy())
	}
	client := fake.NewClientset(objects...)
	client.PrependReactor("create", "endpointslices", nameCreated)
	err = upstream(client, s, svc)
	for _, action := range client.Actions() {
		writes = append(writes, action.GetVerb())
	}
	list, listErr := client.DiscoveryV1().EndpointSlices(svc.Namespace).List(ctx, metav1.ListOptions{})
	if listErr != nil {
		return nil, writes, listErr
	}
	for i := range list.Items {
		left = append(left, &list.Items[i])
	}
	return left, writes, err
}

// nameCreated does for a simulated client what the API does for a real one: what is created gets a name.
func nameCreated(action clienttesting.Action) (bool, runtime.Object, error) {
	s := action.(clienttesting.CreateAction).GetObject().(*discovery.EndpointSlice)
	s.Name = s.GenerateName + string(uuid.NewUUID())
	return false, s, nil
}

// spellEach writes down all that a slice says of each of its endpoints, sorted.
func spellEach(of []*discovery.EndpointSlice) []string {
	var each []string
	for _, s := range of {
		var ports []string
		for _, p := range s.Ports {
			ports = append(ports, spellPort(*p.Name, *p.Port, *p.Protocol)+" "+spellOptional(p.AppProtocol))
		}
		slices.Sort(ports)
		for _, e := range s.Endpoints {
			c := e.Conditions
			each = append(each, fmt.Sprintf("%s %v ports %v ready %s serving %s terminating %s hostname %s node %s zone %s "+
				"target %s%s", s.AddressType,
				e.Addresses, ports, spellOptional(c.Ready), spellOptional(c.Serving), spellOptional(c.Terminating),
				spellOptional(e.Hostname),
				spellOptional(e.NodeName), spellOptional(e.Zone), e.TargetRef, spellHints(e.Hints)))
		}
		if len(s.Endpoints) == 0 {
			each = append(each, fmt.Sprintf("%s nobody, ports %v", s.AddressType, ports))
		}
	}
	slices.Sort(each)
	return each
}

func spellOptional[T any](v *T) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

func spellHints(h *discovery.EndpointHints) string {
	if h == nil {
		return ""
	}
	var hints []string
	for _, z := range h.ForZones {
		hints = append(hints, "zone "+z.Name)
	}
	for _, n := range h.ForNodes {
		hints = append(hints, "node "+n.Name)
	}
	return " for " + strings.Join(hints, ", ")
}

// unlike compares two lists of lines, each of which may be there several times.
func unlike(where string, got, want []string) []string {
	balance := map[string]int{}
	for _, l := range got {
		balance[l]++
	}
	for _, l := range want {
		balance[l]--
	}
	var wrong []string
	for _, l := range slices.Sorted(maps.Keys(balance)) {
		switch n := balance[l]; {
		case n > 0:
			wrong = append(wrong, fmt.Sprintf("%s: upstream does not have %s", where, l))
		case n < 0:
			wrong = append(wrong, fmt.Sprintf("%s: upstream has %s", where, l))
		}
	}
	return wrong
}
