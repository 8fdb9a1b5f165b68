package allocation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Transaction collects what one create or update of a Service claims and releases. The caller must end it once: with
// Commit after the Service was written, or with Revert if it was not.
type Transaction struct {
	a      *Allocator
	svc    *corev1.Service
	before holding // what the Service held; it keeps what it still names
	addrs  *claims[netip.Addr]
	ports  *claims[int32]
}

func (a *Allocator) begin(svc, old *corev1.Service, dryRun bool) *Transaction {
	owner := OwnerOf(svc)
	if old != nil {
		owner = OwnerOf(old) // an update need not name the UID
	}
	return &Transaction{
		a: a, svc: svc, before: held(old),
		addrs: newClaims(a.addresses, owner, dryRun), ports: newClaims(a.ports, owner, dryRun),
	}
}

// Allocate claims the addresses and ports that svc needs and old, nil at creation, does not hold, and fills them in.
// The IP families of svc must have been determined before. The returned list holds what the client requested and
// cannot have, for an Invalid response; the returned error is any other failure, in the form of the API. After
// either, nothing is claimed and the transaction is nil.
//
// With dryRun nothing is claimed, and the result is that of a real request: the numbers that are filled in are free
// at this moment.
func (a *Allocator) Allocate(ctx context.Context, svc, old *corev1.Service, dryRun bool) (*Transaction, field.ErrorList,
	error) {
	t := a.begin(svc, old, dryRun)
	errs, err := t.allocate(ctx)
	if len(errs) > 0 || err != nil {
		t.Revert(ctx)
		return nil, errs, err
	}
	return t, nil, nil
}

// Commit releases what the Service no longer names.
func (t *Transaction) Commit(ctx context.Context) {
	t.a.finish(ctx, t.addrs.owner, t.addrs.commit, t.ports.commit)
}

// Revert releases what this transaction claimed for the Service.
func (t *Transaction) Revert(ctx context.Context) {
	t.a.finish(ctx, t.addrs.owner, t.addrs.rollback, t.ports.rollback)
}

func (t *Transaction) allocate(ctx context.Context) (field.ErrorList, error) {
	for _, step := range []func(context.Context) (field.ErrorList, error){t.allocateAddresses, t.allocatePorts} {
		if errs, err := step(ctx); err != nil || len(errs) > 0 {
			return errs, err
		}
	}
	if err := t.leave(ctx, t.before.without(held(t.svc))); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return nil, nil
}

// leave notes what is to be released when the transaction succeeds.
func (t *Transaction) leave(ctx context.Context, h holding) error {
	var errs []error
	for addr := range h.addrs {
		errs = append(errs, t.addrs.leave(ctx, addr))
	}
	for port := range h.ports {
		errs = append(errs, t.ports.leave(ctx, port))
	}
	return errors.Join(errs...)
}

func (t *Transaction) allocateAddresses(ctx context.Context) (field.ErrorList, error) {
	spec := &t.svc.Spec
	if !hasAddresses(spec) {
		return nil, nil
	}
	for i, family := range spec.IPFamilies {
		if i < len(spec.ClusterIPs) {
			if errs, err := t.takeAddress(ctx, spec.ClusterIPs[i]); err != nil || len(errs) > 0 {
				return errs, err
			}
			continue
		}
		addr, err := t.a.nextAddress(ctx, t.addrs, family)
		if err != nil {
			return nil, apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: allocating an %s address: %w",
				family, err))
		}
		spec.ClusterIPs = append(spec.ClusterIPs, addr.String())
	}
	if len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
	return nil, nil
}

// takeAddress claims the address that the client named, unless the Service holds it already.
func (t *Transaction) takeAddress(ctx context.Context, named string) (field.ErrorList, error) {
	refuse := func(reason any) field.ErrorList {
		detail := fmt.Sprintf("failed to allocate IP %s: provided IP is %v", named, reason)
		return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs"), t.svc.Spec.ClusterIPs, detail)}
	}
	addr, err := netip.ParseAddr(named)
	if err != nil {
		return refuse("not an IP address"), nil
	}
	if t.before.addrs.Has(addr) {
		return nil, nil
	}
	err = t.a.takeAddress(ctx, t.addrs, addr)
	switch {
	case errors.Is(err, errTaken), errors.Is(err, errOutOfRange):
		return refuse(err), nil
	case err != nil:
		return nil, apierrors.NewInternalError(fmt.Errorf("failed to allocate IP %s: %w", addr, err))
	}
	return nil, nil
}

func (t *Transaction) allocatePorts(ctx context.Context) (field.ErrorList, error) {
	spec := &t.svc.Spec
	if mayHaveNodePorts(spec) {
		for i, p := range spec.Ports {
			if errs, err := t.takePort(ctx, p.NodePort, field.NewPath("spec", "ports").Index(i).Child("nodePort")); err != nil ||
				len(errs) > 0 {
				return errs, err
			}
		}
	}
	if needsNodePorts(spec) {
		for i := range spec.Ports {
			if err := t.fillPort(ctx, &spec.Ports[i]); err != nil {
				return nil, err
			}
		}
	}
	return nil, t.allocateHealthPort(ctx)
}

// takePort claims the port that the client named, unless the client named none or the Service holds it already. One
// port may serve several protocols.
func (t *Transaction) takePort(ctx context.Context, port int32, path *field.Path) (field.ErrorList, error) {
	if _, taken := t.ports.taken[port]; port == 0 || taken || t.before.ports.Has(port) {
		return nil, nil
	}
	err := t.a.takePort(ctx, t.ports, port)
	switch {
	case errors.Is(err, errTaken), errors.Is(err, errOutOfRange):
		return field.ErrorList{field.Invalid(path, port, fmt.Sprintf("provided port is %v", err))}, nil
	case err != nil:
		return nil, apierrors.NewInternalError(fmt.Errorf("allocating node port %d: %w", port, err))
	}
	return nil, nil
}

// fillPort gives p the node port that the same port number has for another protocol, or a new one.
func (t *Transaction) fillPort(ctx context.Context, p *corev1.ServicePort) error {
	if p.NodePort != 0 {
		return nil
	}
	if p.NodePort = shared(t.svc.Spec.Ports, p); p.NodePort != 0 {
		return nil
	}
	port, err := t.a.nextPort(ctx, t.ports)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
	}
	p.NodePort = port
	return nil
}

// shared returns the node port of another entry with p's number that p can share, or 0.
func shared(ports []corev1.ServicePort, p *corev1.ServicePort) int32 {
	inUse := map[int32]bool{} // for p's protocol
	for i := range ports {
		if ports[i].Protocol == p.Protocol {
			inUse[ports[i].NodePort] = true
		}
	}
	for i := range ports {
		if other := &ports[i]; other.Port == p.Port && other.NodePort != 0 && !inUse[other.NodePort] {
			return other.NodePort
		}
	}
	return 0
}

// allocateHealthPort returns every failure as an internal error, as upstream does.
func (t *Transaction) allocateHealthPort(ctx context.Context) error {
	spec := &t.svc.Spec
	if !needsHealthPort(spec) {
		return nil
	}
	if spec.HealthCheckNodePort == 0 {
		port, err := t.a.nextPort(ctx, t.ports)
		if err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort: %w", err))
		}
		spec.HealthCheckNodePort = port
		return nil
	}
	port := spec.HealthCheckNodePort
	err := error(nil)
	switch {
	case isNodePort(spec, port):
		err = errTaken
	case !t.before.ports.Has(port):
		err = t.a.takePort(ctx, t.ports, port)
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate HealthCheck NodePort %d: provided port is %w", port,
			err))
	}
	return nil
}

func isNodePort(spec *corev1.ServiceSpec, port int32) bool {
	for _, p := range spec.Ports {
		if p.NodePort == port {
			return true
		}
	}
	return false
}
