package admission

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"viaduct/internal/apiserver/resource"
)

// restrictedEndpoints refuses cross-namespace addresses in Endpoints and EndpointSlices: an address of a Pod of another
// namespace, or an address in a node's Pod range that no Pod of this namespace has. Without it, a user who writes
// endpoints in one namespace reaches through a Service what is closed to that namespace (CVE-2021-25740). Users with
// permission to create endpoints/restricted in the namespace are exempt; OpenShift's permission for the same purpose
// has the same name. An update may leave such addresses as they are, so that clients can still edit the object.
type restrictedEndpoints struct {
	authorizer authorizer.UnconditionalAuthorizer
	pods       resource.Storage[*corev1.Pod]
	nodes      resource.Storage[*corev1.Node]
}

var _ admission.ValidationInterface = &restrictedEndpoints{}

// Handles implements admission.Interface.
func (*restrictedEndpoints) Handles(op admission.Operation) bool { return isCreateOrUpdate(op) }

// Validate implements admission.ValidationInterface.
func (p *restrictedEndpoints) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	added := addressesOf(a.GetObject())
	for addr := range addressesOf(a.GetOldObject()) {
		delete(added, addr)
	}
	if len(added) == 0 || a.GetSubresource() != "" {
		return nil
	}
	exempt, err := p.mayRestricted(ctx, a.GetUserInfo(), a.GetNamespace())
	if err != nil {
		return fmt.Errorf("checking the permission to create endpoints/restricted: %w", err)
	}
	if exempt {
		return nil
	}
	why, err := p.crossNamespace(ctx, a.GetNamespace(), added)
	if err != nil || why == "" {
		return err
	}
	return admission.NewForbidden(a, fmt.Errorf("%s: writing it needs permission to create endpoints/restricted "+
		"in this namespace (CVE-2021-25740)", why))
}

// addressesOf returns the addresses in Endpoints or an EndpointSlice; of any other object, none.
func addressesOf(obj any) map[netip.Addr]bool {
	addrs := map[netip.Addr]bool{}
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil { // validation refuses the others
			addrs[a.Unmap()] = true
		}
	}
	switch o := obj.(type) {
	case *corev1.Endpoints:
		for _, s := range o.Subsets {
			for _, list := range [][]corev1.EndpointAddress{s.Addresses, s.NotReadyAddresses} {
				for _, a := range list {
					add(a.IP)
				}
			}
		}
	case *discoveryv1.EndpointSlice:
		for _, e := range o.Endpoints {
			for _, a := range e.Addresses {
				add(a)
			}
		}
	}
	return addrs
}

func (p *restrictedEndpoints) mayRestricted(ctx context.Context, who user.Info, namespace string) (bool, error) {
	return allowed(ctx, p.authorizer, authorizer.AttributesRecord{
		User: who, Verb: "create", APIVersion: "v1", Resource: "endpoints", Subresource: "restricted", Namespace: namespace,
		ResourceRequest: true,
	})
}

// anyVersion reads the watch cache, which may lack the newest Pods; the controller flags the addresses of those.
const anyVersion = "0"

// crossNamespace says why one of addrs is not namespace's, or returns "" if all are allowed.
func (p *restrictedEndpoints) crossNamespace(ctx context.Context, namespace string, addrs map[netip.Addr]bool) (string,
	error) {
	pods, err := p.pods.List(ctx, anyVersion)
	if err != nil {
		return "", fmt.Errorf("listing pods: %w", err)
	}
	own, elsewhere := podAddresses(pods, namespace)
	ranges, err := p.podRanges(ctx)
	if err != nil {
		return "", err
	}
	for a := range addrs {
		switch {
		case own[a]:
		case elsewhere[a]:
			return fmt.Sprintf("%s is the address of a Pod in another namespace", a), nil
		case inAny(a, ranges):
			return fmt.Sprintf("%s is in a node's Pod range, and no Pod of this namespace has it", a), nil
		}
	}
	return "", nil
}

// podAddresses returns the addresses of the Pods of namespace, and those of all others. Pods that have finished or use
// the host's network have none of their own.
func podAddresses(pods []*corev1.Pod, namespace string) (own, elsewhere map[netip.Addr]bool) {
	own, elsewhere = map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, pod := range pods {
		if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			a, err := netip.ParseAddr(ip.IP)
			switch {
			case err != nil:
			case pod.Namespace == namespace:
				own[a] = true
			default:
				elsewhere[a] = true
			}
		}
	}
	return own, elsewhere
}

// podRanges returns the Pod ranges of all nodes.
func (p *restrictedEndpoints) podRanges(ctx context.Context) (ranges []netip.Prefix, err error) {
	nodes, err := p.nodes.List(ctx, anyVersion)
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	for _, node := range nodes {
		for _, cidr := range node.Spec.PodCIDRs {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				ranges = append(ranges, prefix)
			}
		}
	}
	return ranges, nil
}

func inAny(a netip.Addr, ranges []netip.Prefix) bool {
	for _, r := range ranges {
		if r.Contains(a) {
			return true
		}
	}
	return false
}
