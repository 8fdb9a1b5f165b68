package printers

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Services returns the table of services.
func Services() Table[*v1.Service] {
	return Table[*v1.Service]{
		Columns: []metav1.TableColumnDefinition{
			Name(),
			Column("Type", "How the Service is reached."),
			Column("Cluster-IP", "The Service's address inside the cluster."),
			Column("External-IP", "The Service's addresses for others."),
			Column("Port(s)", "The Service's ports, with node ports after a colon."),
			Age(),
			Wide("Selector", "The labels of the Pods behind the Service."),
		},
		Cells: func(svc *v1.Service, now time.Time) []any {
			clusterIP := none
			if len(svc.Spec.ClusterIPs) > 0 {
				clusterIP = svc.Spec.ClusterIPs[0]
			}
			return []any{svc.Name, string(svc.Spec.Type), clusterIP, externalIPs(svc), servicePorts(svc.Spec.Ports),
				Since(svc.CreationTimestamp.Time, now), labels.FormatLabels(svc.Spec.Selector)}
		},
	}
}

func externalIPs(svc *v1.Service) string {
	switch svc.Spec.Type {
	case v1.ServiceTypeClusterIP, v1.ServiceTypeNodePort:
		return orElse(strings.Join(svc.Spec.ExternalIPs, ","), none)
	case v1.ServiceTypeLoadBalancer:
		return orElse(strings.Join(append(ingressPoints(svc), svc.Spec.ExternalIPs...), ","), "<pending>")
	case v1.ServiceTypeExternalName:
		return svc.Spec.ExternalName
	}
	return unknown
}

// ingressPoints returns the addresses, or else the names, that the load balancer reported: sorted, each once.
func ingressPoints(svc *v1.Service) []string {
	var points []string
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		if point := orElse(ingress.IP, ingress.Hostname); point != "" {
			points = append(points, point)
		}
	}
	slices.Sort(points)
	return slices.Compact(points)
}

func servicePorts(ports []v1.ServicePort) string {
	texts := make([]string, len(ports))
	for i, port := range ports {
		texts[i] = fmt.Sprintf("%d/%s", port.Port, port.Protocol)
		if port.NodePort > 0 {
			texts[i] = fmt.Sprintf("%d:%d/%s", port.Port, port.NodePort, port.Protocol)
		}
	}
	return orElse(strings.Join(texts, ","), none)
}

// Endpoints returns the table of endpoints.
func Endpoints() Table[*v1.Endpoints] {
	return Table[*v1.Endpoints]{
		Columns: []metav1.TableColumnDefinition{Name(), Column("Endpoints", "The ready addresses."), Age()},
		Cells: func(ep *v1.Endpoints, now time.Time) []any {
			return []any{ep.Name, readyAddresses(ep.Subsets), Since(ep.CreationTimestamp.Time, now)}
		},
	}
}

// readyAddresses returns each ready address with each of its ports. The result is empty if there are subsets without a
// ready address. It differs from the result for Endpoints without subsets.
func readyAddresses(subsets []v1.EndpointSubset) string {
	if len(subsets) == 0 {
		return none
	}
	var list shortList
	for _, subset := range subsets {
		for _, address := range subset.Addresses {
			if len(subset.Ports) == 0 {
				list.add(address.IP)
			}
		}
		for _, port := range subset.Ports {
			for _, address := range subset.Addresses {
				list.add(net.JoinHostPort(address.IP, strconv.Itoa(int(port.Port))))
			}
		}
	}
	return list.String()
}

// EndpointSlices returns the table of endpointslices.
func EndpointSlices() Table[*discoveryv1.EndpointSlice] {
	return Table[*discoveryv1.EndpointSlice]{
		Columns: []metav1.TableColumnDefinition{
			Name(),
			Column("AddressType", "What kind of addresses the slice holds."),
			Column("Ports", "The ports of every endpoint in the slice."),
			Column("Endpoints", "The addresses, ready or not."),
			Age(),
		},
		Cells: func(slice *discoveryv1.EndpointSlice, now time.Time) []any {
			return []any{slice.Name, string(slice.AddressType), slicePorts(slice.Ports), sliceAddresses(slice.Endpoints),
				Since(slice.CreationTimestamp.Time, now)}
		},
	}
}

func slicePorts(ports []discoveryv1.EndpointPort) string {
	var list shortList
	for _, port := range ports {
		switch {
		case port.Port != nil:
			list.add(strconv.Itoa(int(*port.Port)))
		case port.Name != nil:
			list.add(*port.Name)
		default:
			list.add("*")
		}
	}
	return orElse(list.String(), unset)
}

func sliceAddresses(endpoints []discoveryv1.Endpoint) string {
	var list shortList
	for _, endpoint := range endpoints {
		for _, address := range endpoint.Addresses {
			list.add(address)
		}
	}
	return orElse(list.String(), unset)
}
