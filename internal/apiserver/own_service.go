package apiserver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apiserver/pkg/registry/rest"
)

// The Service by which Pods reach the servers, in the namespace default.
const (
	serviceName = "kubernetes"
	portName    = "https"
	// skipMirror keeps the mirroring controller away: the slices are written here.
	skipMirror = "endpointslice.kubernetes.io/skip-mirror"
	// sliceManager marks the slices that servers make beside the one named kubernetes, where they listen on several ports.
	sliceManager = "apiserver.viaduct"
)

// ownService is the Service kubernetes. Once made it is never corrected: an administrator may change it.
func ownService(clusterIP netip.Addr, port uint16) *corev1.Service {
	policy := corev1.IPFamilyPolicySingleStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{"provider": serviceName, "component": "apiserver"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP:      clusterIP.String(),
			IPFamilyPolicy: &policy,
			Ports: []corev1.ServicePort{{
				Name: portName, Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(int32(port)),
			}},
		},
	}
}

// publish makes the endpoints of the Service kubernetes equal to servers, which are sorted.
func (b *bootstrap) publish(ctx context.Context, servers []netip.AddrPort) error {
	if err := b.put(ctx, b.stores.endpoints, ownEndpoints(servers)); err != nil {
		return fmt.Errorf("writing the endpoints of the service kubernetes: %w", err)
	}
	wanted := ownSlices(servers)
	for _, slice := range wanted {
		if err := b.putSlice(ctx, slice); err != nil {
			return fmt.Errorf("writing the endpoint slice %s: %w", slice.Name, err)
		}
	}
	if err := b.removeOtherSlices(ctx, wanted); err != nil {
		return fmt.Errorf("removing endpoint slices of servers that ended: %w", err)
	}
	return nil
}

// ownEndpoints has a subset for each port.
func ownEndpoints(servers []netip.AddrPort) *corev1.Endpoints {
	ep := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: serviceName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{skipMirror: "true"}},
	}
	for _, port := range portsOf(servers) {
		subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: portName, Port: int32(port),
			Protocol: corev1.ProtocolTCP}}}
		for _, server := range servers {
			if server.Port() == port {
				subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: server.Addr().String()})
			}
		}
		ep.Subsets = append(ep.Subsets, subset)
	}
	return ep
}

// ownSlices has a slice for each port and address family. The first is called kubernetes, as everywhere, and is there
// without servers too; there are others only where servers differ in their port.
func ownSlices(servers []netip.AddrPort) []*discoveryv1.EndpointSlice {
	var all []*discoveryv1.EndpointSlice
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		members := slices.DeleteFunc(slices.Clone(servers), func(a netip.AddrPort) bool {
			return a.Addr().Is4() != (family == discoveryv1.AddressTypeIPv4)
		})
		for _, port := range portsOf(members) {
			all = append(all, ownSlice(family, port, members))
		}
	}
	if len(all) == 0 {
		all = append(all, ownSlice(discoveryv1.AddressTypeIPv4, 0, nil))
	}
	for _, slice := range all[1:] {
		slice.Name = serviceName + "-" + strconv.Itoa(int(*slice.Ports[0].Port))
		if slice.AddressType == discoveryv1.AddressTypeIPv6 {
			slice.Name += "-ipv6"
		}
		slice.Labels[discoveryv1.LabelManagedBy] = sliceManager
	}
	return all
}

// ownSlice is the slice of those servers that listen on port.
func ownSlice(family discoveryv1.AddressType, port uint16, servers []netip.AddrPort) *discoveryv1.EndpointSlice {
	name, number, tcp, ready := portName, int32(port), corev1.ProtocolTCP, true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{discoveryv1.LabelServiceName: serviceName},
		},
		AddressType: family,
	}
	if port != 0 {
		slice.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &number, Protocol: &tcp}}
	}
	for _, server := range servers {
		if server.Port() == port {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{server.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			})
		}
	}
	return slice
}

// portsOf are the ports of servers, sorted, each once.
func portsOf(servers []netip.AddrPort) []uint16 {
	var ports []uint16
	for _, server := range servers {
		ports = append(ports, server.Port())
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// putSlice replaces a slice of another address family, whose family cannot be changed.
func (b *bootstrap) putSlice(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	stored, err := b.stores.slices.Get(withNamespace(ctx, slice.Namespace), slice.Name, &metav1.GetOptions{})
	if err == nil && stored.(*discoveryv1.EndpointSlice).AddressType != slice.AddressType {
		if err := b.removeSlice(ctx, slice.Name); err != nil {
			return err
		}
	}
	return b.put(ctx, b.stores.slices, slice)
}

func (b *bootstrap) removeOtherSlices(ctx context.Context, wanted []*discoveryv1.EndpointSlice) error {
	ours := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: serviceName,
		discoveryv1.LabelManagedBy: sliceManager})
	list, err := b.stores.slices.List(withNamespace(ctx, metav1.NamespaceDefault),
		&metainternalversion.ListOptions{LabelSelector: ours})
	if err != nil {
		return err
	}
	for _, stored := range list.(*discoveryv1.EndpointSliceList).Items {
		if slices.ContainsFunc(wanted, func(w *discoveryv1.EndpointSlice) bool { return w.Name == stored.Name }) {
			continue
		}
		if err := b.removeSlice(ctx, stored.Name); err != nil {
			return err
		}
	}
	return nil
}

func (b *bootstrap) removeSlice(ctx context.Context, name string) error {
	_, _, err := b.stores.slices.Delete(withNamespace(ctx, metav1.NamespaceDefault), name, rest.ValidateAllObjectFunc,
		&metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil // another server was faster
	}
	return err
}
