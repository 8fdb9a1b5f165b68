package allocation

import (
	"context"
	"fmt"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Reader reads one resource of the API. resourceVersion has the meaning that it has in the API: empty for the latest
// state, "0" for any state, such as that of a cache. Errors are those of the API.
type Reader[T any] interface {
	Get(ctx context.Context, namespace, name, resourceVersion string) (T, error)
	List(ctx context.Context, resourceVersion string) ([]T, error)
}

// Store reads and writes one resource of the API.
type Store[T any] interface {
	Reader[T]
	// Create returns AlreadyExists if an object of that name exists.
	Create(ctx context.Context, obj T) (T, error)
	// Delete removes the object if it still has the UID of obj; otherwise it returns NotFound or Conflict.
	Delete(ctx context.Context, obj T) error
}

// The resource versions that reads use: the state of a cache, and the latest state.
const (
	anyVersion = "0"
	latest     = ""
)

// ManagedBy is the value of the managed-by label of the IPAddress objects of Services; upstream's value.
const ManagedBy = "ipallocator.k8s.io"

// ownerUID is the annotation of an IPAddress with the UID of its Service, which distinguishes Services that had the
// same name. Upstream's objects have no such annotation and are compared by name.
const ownerUID = "viaduct/service-uid"

// addresses records the holders of addresses as IPAddress objects. The name of the object is the address, so the
// store refuses a second holder.
type addresses struct {
	store Store[*networkingv1.IPAddress]
}

func (a addresses) claim(ctx context.Context, addr netip.Addr, owner Owner) (version, error) {
	made, err := a.store.Create(ctx, ipAddress(addr, owner))
	switch {
	case apierrors.IsAlreadyExists(err):
		return "", errTaken
	case err != nil:
		return "", fmt.Errorf("recording address %s: %w", addr, err)
	}
	return version(made.UID), nil
}

func (a addresses) holder(ctx context.Context, addr netip.Addr) (*record, error) {
	found, err := a.store.Get(ctx, "", addr.String(), latest)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the record of address %s: %w", addr, err)
	}
	return recordOf(found), nil
}

func (a addresses) release(ctx context.Context, addr netip.Addr, v version) error {
	err := a.store.Delete(ctx, &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: addr.String(),
		UID: types.UID(v)}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing the record of address %s: %w", addr, err)
	}
	return nil
}

// seemsFree asks the cache. A wrong answer costs another try, or misses an address that became free a moment ago.
func (a addresses) seemsFree(ctx context.Context, addr netip.Addr) bool {
	_, err := a.store.Get(ctx, "", addr.String(), anyVersion)
	return apierrors.IsNotFound(err)
}

// ipAddress returns the record that owner holds addr, in upstream's form.
func ipAddress(addr netip.Addr, owner Owner) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{
			Name: addr.String(),
			Labels: map[string]string{
				networkingv1.LabelIPAddressFamily: string(FamilyOf(addr)),
				networkingv1.LabelManagedBy:       ManagedBy,
			},
			Annotations: map[string]string{ownerUID: string(owner.UID)},
		},
		Spec: networkingv1.IPAddressSpec{
			ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: owner.Namespace, Name: owner.Name},
		},
	}
}

func recordOf(ip *networkingv1.IPAddress) *record {
	r := &record{version: version(ip.UID), foreign: true}
	r.unmanaged = ip.Labels[networkingv1.LabelManagedBy] != ManagedBy
	if ref := ip.Spec.ParentRef; ref != nil && ref.Group == "" && ref.Resource == "services" {
		r.foreign = false
		r.owner = Owner{Namespace: ref.Namespace, Name: ref.Name, UID: types.UID(ip.Annotations[ownerUID])}
	}
	return r
}
