package apiserver

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// podAddressesStayHome lets nobody add an address to Endpoints or an EndpointSlice that is of the Pods of another
// namespace, or that is in the range of a node's Pods and of none here: who may write them in one namespace could else
// reach, through a Service, what is closed to that namespace (CVE-2021-25740). Whoever may create endpoints/restricted
// in the namespace may; the name is that of OpenShift's permission for the same thing. Addresses that are there already
// may stay, so that others can still edit the object.
type podAddressesStayHome struct {
	authorizer authorizer.UnconditionalAuthorizer
	pods       objects[*corev1.Pod]
	nodes      objects[*corev1.Node]
}

var _ admission.ValidationInterface = &podAddressesStayHome{}

func (*podAddressesStayHome) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

// Validate implements admission.ValidationInterface.
func (p *podAddressesStayHome) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	added := addressesOf(a.GetObject())
	for addr := range addressesOf(a.GetOldObject()) {
		delete(added, addr)
	}
	if len(added) == 0 || a.GetSubresource() != "" {
		return nil
	}
	may, err := p.mayRestricted(ctx, a.GetUserInfo(), a.GetNamespace())
	if err != nil {
		return fmt.Errorf("asking whether the user may create endpoints/restricted: %w", err)
	}
	if may {
		return nil
	}
	why, err := p.foreign(ctx, a.GetNamespace(), added)
	if err != nil || why == "" {
		return err
	}
	return admission.NewForbidden(a, fmt.Errorf("%s: it takes the right to create endpoints/restricted in this "+
		"namespace to write such an address (CVE-2021-25740)", why))
}

// addressesOf are those that obj sends connections to; of any other kind of object, none.
func addressesOf(obj any) map[netip.Addr]bool {
	addrs := map[netip.Addr]bool{}
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil { // what is none is refused elsewhere
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

func (p *podAddressesStayHome) mayRestricted(ctx context.Context, who user.Info, namespace string) (bool, error) {
	return may(ctx, p.authorizer, authorizer.AttributesRecord{
		User: who, Verb: "create", APIVersion: "v1", Resource: "endpoints", Subresource: "restricted", Namespace: namespace,
		ResourceRequest: true,
	})
}

// anyVersion asks for what is known at hand: a Pod that came a moment ago is flagged by the controller.
const anyVersion = "0"

// foreign says why an address is not namespace's to write, "" if all are.
func (p *podAddressesStayHome) foreign(ctx context.Context, namespace string, addrs map[netip.Addr]bool) (string,
	error) {
	own := map[netip.Addr]bool{}
	elsewhere := map[netip.Addr]bool{}
	pods, err := p.pods.List(ctx, anyVersion)
	if err != nil {
		return "", fmt.Errorf("listing pods: %w", err)
	}
	for _, pod := range pods {
		if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err == nil {
				own[a] = own[a] || pod.Namespace == namespace
				elsewhere[a] = elsewhere[a] || pod.Namespace != namespace
			}
		}
	}
	ranges, err := p.podRanges(ctx)
	if err != nil {
		return "", err
	}
	for a := range addrs {
		switch {
		case own[a]:
		case elsewhere[a]:
			return fmt.Sprintf("%s is the address of a Pod of another namespace", a), nil
		case inAny(a, ranges):
			return fmt.Sprintf("%s is in the range of Pods, and of no Pod of this namespace", a), nil
		}
	}
	return "", nil
}

// podRanges are those that the nodes give to their Pods.
func (p *podAddressesStayHome) podRanges(ctx context.Context) (ranges []netip.Prefix, err error) {
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
