package endpoints_test

import (
	"cmp"
	"context"
	"errors"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/membership"
)

// stored is all that the API holds of what matters here.
type stored struct {
	pods      []v1.Pod
	services  []v1.Service
	nodes     []v1.Node
	endpoints []v1.Endpoints
	slices    []discovery.EndpointSlice
}

func readStored(ctx context.Context, client kubernetes.Interface) (stored, error) {
	all := metav1.ListOptions{}
	pods, podsErr := client.CoreV1().Pods("").List(ctx, all)
	services, servicesErr := client.CoreV1().Services("").List(ctx, all)
	nodes, nodesErr := client.CoreV1().Nodes().List(ctx, all)
	endpoints, endpointsErr := client.CoreV1().Endpoints("").List(ctx, all)
	list, slicesErr := client.DiscoveryV1().EndpointSlices("").List(ctx, all)
	if err := errors.Join(podsErr, servicesErr, nodesErr, endpointsErr, slicesErr); err != nil {
		return stored{}, err
	}
	return stored{pods.Items, services.Items, nodes.Items, endpoints.Items, list.Items}, nil
}

// podsIn are the Pods of a namespace.
func (s stored) podsIn(namespace string) []*v1.Pod {
	var pods []*v1.Pod
	for i := range s.pods {
		if s.pods[i].Namespace == namespace {
			pods = append(pods, &s.pods[i])
		}
	}
	return pods
}

func (s stored) serviceOf(key types.NamespacedName) *v1.Service {
	return find(s.services, func(svc *v1.Service) bool { return keyOf(svc) == key })
}

func (s stored) endpointsOf(key types.NamespacedName) *v1.Endpoints {
	return find(s.endpoints, func(ep *v1.Endpoints) bool { return keyOf(ep) == key })
}

func (s stored) sliceOf(key types.NamespacedName) *discovery.EndpointSlice {
	return find(s.slices, func(es *discovery.EndpointSlice) bool { return keyOf(es) == key })
}

// members are those of svc, with the hints that they are to have beside those in its slices.
func (s stored) members(svc *v1.Service, have []*discovery.EndpointSlice) []membership.Member {
	topology := membership.NewTopology()
	for i := range s.nodes {
		topology.Set(&s.nodes[i])
	}
	members := membership.OfPods(svc, s.podsIn(svc.Namespace), topology.Zone)
	membership.AddHints(svc, members, topology, have)
	return members
}

// slicesOf are the slices of a Service that by keeps.
func (s stored) slicesOf(key types.NamespacedName, by string) []*discovery.EndpointSlice {
	var of []*discovery.EndpointSlice
	for i := range s.slices {
		es := &s.slices[i]
		if es.Namespace == key.Namespace && es.Labels[discovery.LabelServiceName] == key.Name &&
			es.Labels[discovery.LabelManagedBy] == by {
			of = append(of, es)
		}
	}
	return of
}

// keys are the names of every Service that there is, or of which something is left, in order.
func (s stored) keys() []types.NamespacedName {
	var keys []types.NamespacedName
	for i := range s.services {
		keys = append(keys, keyOf(&s.services[i]))
	}
	for i := range s.endpoints {
		keys = append(keys, keyOf(&s.endpoints[i]))
	}
	for i := range s.slices {
		if name := s.slices[i].Labels[discovery.LabelServiceName]; name != "" {
			keys = append(keys, types.NamespacedName{Namespace: s.slices[i].Namespace, Name: name})
		}
	}
	slices.SortFunc(keys, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(keys)
}

// find is the first of items that is right, nil if there is none.
func find[T any](items []T, right func(*T) bool) *T {
	for i := range items {
		if right(&items[i]) {
			return &items[i]
		}
	}
	return nil
}
