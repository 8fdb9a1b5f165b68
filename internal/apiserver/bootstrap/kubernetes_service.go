package bootstrap

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
	"viaduct/internal/apiserver/resource"
)

// The Service through which Pods reach the API servers, in the namespace default.
const (
	serviceName = "kubernetes"
	portName    = "https"
	// skipMirror keeps the mirroring controller from writing slices: they are written here.
	skipMirror = "endpointslice.kubernetes.io/skip-mirror"
	// sliceManager marks the slices beside the one named kubernetes. They exist if servers listen on several ports.
	sliceManager = "apiserver.viaduct"
)

// kubernetesService returns the Service kubernetes. It is created and never corrected: an administrator may change it.
func kubernetesService(clusterIP netip.Addr, port uint16) *corev1.Service {
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

// publish makes the endpoints of the Service kubernetes equal to servers, which must be sorted.
func (b *Bootstrap) publish(ctx context.Context, servers []netip.AddrPort) error {
	if err := put(ctx, b.endpoints, kubernetesEndpoints(servers)); err != nil {
		return fmt.Errorf("writing the endpoints of the service kubernetes: %w", err)
	}
	wanted := kubernetesSlices(servers)
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

// kubernetesEndpoints returns Endpoints with a subset for each port.
func kubernetesEndpoints(servers []netip.AddrPort) *corev1.Endpoints {
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

// kubernetesSlices returns a slice for each port and address family. The first is called kubernetes, like upstream's,
// and exists without servers too. There are others only if servers differ in their ports.
func kubernetesSlices(servers []netip.AddrPort) []*discoveryv1.EndpointSlice {
	var all []*discoveryv1.EndpointSlice
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		members := slices.DeleteFunc(slices.Clone(servers), func(a netip.AddrPort) bool {
			return a.Addr().Is4() != (family == discoveryv1.AddressTypeIPv4)
		})
		for _, port := range portsOf(members) {
			all = append(all, kubernetesSlice(family, port, members))
		}
	}
	if len(all) == 0 {
		all = append(all, kubernetesSlice(discoveryv1.AddressTypeIPv4, 0, nil))
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

// kubernetesSlice returns the slice of the servers that listen on port.
func kubernetesSlice(family discoveryv1.AddressType, port uint16, servers []netip.AddrPort) *discoveryv1.EndpointSlice {
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

// portsOf returns the ports of servers, sorted and distinct.
func portsOf(servers []netip.AddrPort) []uint16 {
	var ports []uint16
	for _, server := range servers {
		ports = append(ports, server.Port())
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// putSlice writes a slice. It deletes one of another address family first, because the family is immutable.
func (b *Bootstrap) putSlice(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	stored, err := b.slices.Get(ctx, slice.Namespace, slice.Name, "")
	if err == nil && stored.AddressType != slice.AddressType {
		if err := b.removeSlice(ctx, slice.Name); err != nil {
			return err
		}
	}
	return put(ctx, b.slices, slice)
}

func (b *Bootstrap) removeOtherSlices(ctx context.Context, wanted []*discoveryv1.EndpointSlice) error {
	ours := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: serviceName,
		discoveryv1.LabelManagedBy: sliceManager})
	list, err := b.slices.Select(ctx, metav1.NamespaceDefault, &metainternalversion.ListOptions{LabelSelector: ours})
	if err != nil {
		return err
	}
	for _, stored := range list {
		if slices.ContainsFunc(wanted, func(w *discoveryv1.EndpointSlice) bool { return w.Name == stored.Name }) {
			continue
		}
		if err := b.removeSlice(ctx, stored.Name); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bootstrap) removeSlice(ctx context.Context, name string) error {
	_, _, err := b.slices.Main.Delete(resource.WithNamespace(ctx, metav1.NamespaceDefault), name,
		rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil // another server deleted it
	}
	return err
}
