package apiserver

import (
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The range of node ports, upstream's default.
const (
	firstNodePort = 30000
	lastNodePort  = 32767
)

// serviceAllocator hands out ClusterIPs and node ports. It lives in memory and is seeded from the stored Services before the first
// request is served.
type serviceAllocator struct {
	ranges    []*ipRange // one a family, the primary first
	nodePorts *allocator
}

func newServiceAllocator(cidrs ...netip.Prefix) *serviceAllocator {
	a := &serviceAllocator{nodePorts: newAllocator(lastNodePort-firstNodePort+1, staticBand(lastNodePort-firstNodePort+1, 32, 128))}
	for _, cidr := range cidrs {
		a.ranges = append(a.ranges, newIPRange(cidr))
	}
	return a
}

func (a *serviceAllocator) families() []corev1.IPFamily {
	var families []corev1.IPFamily
	for _, r := range a.ranges {
		families = append(families, familyOf(r.prefix.Addr()))
	}
	return families
}

func familyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func (a *serviceAllocator) rangeOf(family corev1.IPFamily) *ipRange {
	for _, r := range a.ranges {
		if familyOf(r.prefix.Addr()) == family {
			return r
		}
	}
	return nil
}

// seed records what stored Services hold. Two that hold the same are left as they are; the later one does not own it.
func (a *serviceAllocator) seed(svc *corev1.Service) {
	owner := ownerName(svc)
	for addr := range clusterIPs(svc) {
		if r := a.rangeOf(familyOf(addr)); r != nil {
			if n, err := r.number(addr); err == nil {
				_ = r.take(n, owner)
			}
		}
	}
	for port := range nodePorts(svc) {
		_ = a.nodePorts.take(uint64(port-firstNodePort), owner)
	}
}

func (a *serviceAllocator) releaseAll(svc *corev1.Service) {
	(&serviceTxn{a: a, owner: ownerName(svc), freed: held(svc)}).commit()
}

func (a *serviceAllocator) release(h holding, owner string) {
	for addr := range h.addrs {
		if r := a.rangeOf(familyOf(addr)); r != nil {
			if n, err := r.number(addr); err == nil {
				r.release(n, owner)
			}
		}
	}
	for port := range h.ports {
		a.nodePorts.release(uint64(port-firstNodePort), owner)
	}
}

// serviceTxn is the allocation of one create or update: all of it is kept, or none.
type serviceTxn struct {
	a        *serviceAllocator
	svc, old *corev1.Service
	owner    string
	taken    holding // by this transaction
	freed    holding // when it commits
}

func (a *serviceAllocator) begin(svc, old *corev1.Service) *serviceTxn {
	return &serviceTxn{a: a, svc: svc, old: old, owner: ownerName(svc), taken: holding{addrs: map[netip.Addr]bool{}, ports: map[int32]bool{}}}
}

func (t *serviceTxn) commit() { t.a.release(t.freed, t.owner) }
func (t *serviceTxn) revert() { t.a.release(t.taken, t.owner) }

// allocate fills in the addresses and ports that the Service needs. The list holds what the client asked for and cannot have; the
// error is ours (a range is full).
func (t *serviceTxn) allocate() (field.ErrorList, error) {
	before := held(t.old)
	if errs, err := t.allocateIPs(before); err != nil || len(errs) > 0 {
		return errs, err
	}
	if errs, err := t.allocatePorts(before); err != nil || len(errs) > 0 {
		return errs, err
	}
	t.freed = before.minus(held(t.svc))
	return nil, nil
}

func (t *serviceTxn) allocateIPs(before holding) (field.ErrorList, error) {
	spec := &t.svc.Spec
	if spec.Type == corev1.ServiceTypeExternalName || spec.ClusterIP == corev1.ClusterIPNone {
		return nil, nil
	}
	for i, family := range spec.IPFamilies {
		r := t.a.rangeOf(family)
		if r == nil {
			return nil, fmt.Errorf("no range for the family %s that the service was given", family)
		}
		if i < len(spec.ClusterIPs) {
			if err := t.takeIP(r, spec.ClusterIPs[i], before); err != nil {
				return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), spec.ClusterIPs, err.Error())}, nil
			}
			continue
		}
		n, err := r.next(t.owner)
		if err != nil {
			return nil, apierrors.NewInternalError(fmt.Errorf("allocating a %s cluster IP: %w", family, err))
		}
		t.taken.addrs[r.addr(n)] = true
		spec.ClusterIPs = append(spec.ClusterIPs, r.addr(n).String())
	}
	if len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
	return nil, nil
}

// takeIP takes the address that the client named.
func (t *serviceTxn) takeIP(r *ipRange, named string, before holding) error {
	addr, err := netip.ParseAddr(named)
	if err != nil {
		return fmt.Errorf("failed to allocate IP %s: not an IP address", named)
	}
	if before.addrs[addr] {
		return nil
	}
	n, err := r.number(addr)
	if err == nil {
		err = r.take(n, t.owner)
	}
	if err != nil {
		return fmt.Errorf("failed to allocate IP %s: %w", addr, err)
	}
	t.taken.addrs[addr] = true
	return nil
}

func (t *serviceTxn) allocatePorts(before holding) (field.ErrorList, error) {
	spec := &t.svc.Spec
	byPort := map[int32]int32{} // one node port serves all protocols of a port number
	for i := range spec.Ports {
		p := &spec.Ports[i]
		if p.NodePort == 0 {
			continue
		}
		if err := t.takePort(p.NodePort, before); err != nil {
			return field.ErrorList{field.Invalid(field.NewPath("spec", "ports").Index(i).Child("nodePort"), p.NodePort, err.Error())}, nil
		}
		byPort[p.Port] = p.NodePort
	}
	for i := range spec.Ports {
		p := &spec.Ports[i]
		if p.NodePort != 0 || !needsNodePorts(spec) {
			continue
		}
		if byPort[p.Port] == 0 {
			n, err := t.nextPort()
			if err != nil {
				return nil, err
			}
			byPort[p.Port] = n
		}
		p.NodePort = byPort[p.Port]
	}
	return nil, t.allocateHealthPort(before)
}

func (t *serviceTxn) allocateHealthPort(before holding) error {
	spec := &t.svc.Spec
	if spec.Type != corev1.ServiceTypeLoadBalancer || spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return nil
	}
	if spec.HealthCheckNodePort != 0 {
		if err := t.takePort(spec.HealthCheckNodePort, before); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("allocating health check node port %d: %w", spec.HealthCheckNodePort, err))
		}
		return nil
	}
	n, err := t.nextPort()
	spec.HealthCheckNodePort = n
	return err
}

func needsNodePorts(spec *corev1.ServiceSpec) bool {
	switch spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return spec.AllocateLoadBalancerNodePorts == nil || *spec.AllocateLoadBalancerNodePorts
	}
	return false
}

func (t *serviceTxn) takePort(port int32, before holding) error {
	if before.ports[port] || t.taken.ports[port] {
		return nil
	}
	if port < firstNodePort || port > lastNodePort {
		return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %d-%d", firstNodePort, lastNodePort)
	}
	if err := t.a.nodePorts.take(uint64(port-firstNodePort), t.owner); err != nil {
		if errors.Is(err, errTaken) {
			return errors.New("provided port is already allocated")
		}
		return err
	}
	t.taken.ports[port] = true
	return nil
}

func (t *serviceTxn) nextPort() (int32, error) {
	n, err := t.a.nodePorts.next(t.owner)
	if err != nil {
		return 0, apierrors.NewInternalError(fmt.Errorf("allocating a node port: %w", err))
	}
	port := int32(n) + firstNodePort
	t.taken.ports[port] = true
	return port, nil
}
