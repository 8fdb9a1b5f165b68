package endpoints_test

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	ours     = "endpointslice-controller.k8s.io"
	mirrored = "endpointslicemirroring-controller.k8s.io"
)

func endpointsOperations() []operation {
	return []operation{
		{"write endpoints by hand", 8, (*author).writeEndpoints},
		{"deface endpoints", 2, (*author).defaceEndpoints},
		{"delete endpoints", 2, (*author).deleteEndpoints},
	}
}

// writeEndpoints puts a person's Endpoints in the place of whatever is there.
func (a *author) writeEndpoints() error {
	key := a.serviceKey()
	ep := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Labels: map[string]string{"by": "hand"}},
		Subsets: a.subsets()}
	switch {
	case a.chance(10):
		ep.Labels[discovery.LabelSkipMirror] = "true"
	case a.chance(5):
		ep.Annotations = map[string]string{"control-plane.alpha.kubernetes.io/leader": "{}"}
	}
	api := a.client.CoreV1().Endpoints(key.Namespace)
	made, err := api.Create(a.ctx(), ep, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = api.Update(a.ctx(), ep, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	if err := a.noteStored(key); err != nil {
		return err
	}
	if round, selected := a.selected[key]; !selected || round < a.round {
		a.byHand[key] = made
	}
	return nil
}

// subsets are what a person writes: of both families, out of order, some addresses twice.
func (a *author) subsets() []v1.EndpointSubset {
	var subsets []v1.EndpointSubset
	for range a.IntN(3) {
		s := v1.EndpointSubset{Ports: []v1.EndpointPort{{Name: oneOf(a, "sql", "admin"), Port: oneOf[int32](a, 5432, 5433)}}}
		for range 1 + a.IntN(6) {
			addr := v1.EndpointAddress{IP: fmt.Sprintf("10.9.0.%d", 1+a.IntN(20))}
			if a.chance(30) {
				addr.IP = fmt.Sprintf("fd00:9::%x", 1+a.IntN(20))
			}
			if a.chance(70) {
				s.Addresses = append(s.Addresses, addr)
			} else {
				s.NotReadyAddresses = append(s.NotReadyAddresses, addr)
			}
		}
		subsets = append(subsets, s)
	}
	return subsets
}

// withEndpoints does something to Endpoints that are there.
func (a *author) withEndpoints(do func(types.NamespacedName, *v1.Endpoints) error) error {
	key := a.serviceKey()
	ep, err := a.client.CoreV1().Endpoints(key.Namespace).Get(a.ctx(), key.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return do(key, ep)
}

// defaceEndpoints changes what is there, without taking it over.
func (a *author) defaceEndpoints() error {
	return a.withEndpoints(func(key types.NamespacedName, ep *v1.Endpoints) error {
		if a.chance(50) {
			ep.Subsets = a.subsets()
		} else {
			ep.Labels = map[string]string{"endpoints.kubernetes.io/managed-by": ep.Labels["endpoints.kubernetes.io/managed-by"],
				"extra": "1"}
		}
		made, err := a.client.CoreV1().Endpoints(key.Namespace).Update(a.ctx(), ep, metav1.UpdateOptions{})
		if err == nil && a.byHand[key] != nil {
			a.byHand[key] = made
		}
		return err
	})
}

func (a *author) deleteEndpoints() error {
	key := a.serviceKey()
	err := a.client.CoreV1().Endpoints(key.Namespace).Delete(a.ctx(), key.Name, metav1.DeleteOptions{})
	if err == nil {
		delete(a.byHand, key)
	}
	return err
}

func sliceOperations() []operation {
	return []operation{
		{"write a foreign slice", 3, (*author).writeForeign},
		{"delete a foreign slice", 1, (*author).deleteForeign},
		{"empty a slice", 2, sliceChange(func(_ *author, s *discovery.EndpointSlice) { s.Endpoints = nil })},
		{"spoil a slice's endpoints", 2, sliceChange((*author).spoil)},
		{"strip a slice", 1, sliceChange(func(_ *author, s *discovery.EndpointSlice) { s.OwnerReferences = nil })},
		{"give a slice to another service", 1, sliceChange(func(a *author, s *discovery.EndpointSlice) {
			s.Labels[discovery.LabelServiceName] = a.serviceKey().Name
		})},
		{"take a slice over", 1, sliceChange(func(_ *author, s *discovery.EndpointSlice) {
			s.Labels[discovery.LabelManagedBy], s.OwnerReferences = "somebody.example", nil
		})},
		{"copy a slice", 2, (*author).copySlice},
		{"delete a slice", 2, (*author).deleteSlice},
	}
}

func (a *author) noteSlice(s *discovery.EndpointSlice) {
	delete(a.foreign, keyOf(s))
	if by := s.Labels[discovery.LabelManagedBy]; by != ours && by != mirrored {
		a.foreign[keyOf(s)] = s
	}
}

func (a *author) foreignKey() types.NamespacedName {
	return types.NamespacedName{Namespace: a.namespace(), Name: fmt.Sprintf("foreign-%d", a.IntN(4))}
}

// writeForeign makes or changes a slice of somebody else's, who may say so or not.
func (a *author) writeForeign() error {
	key := a.foreignKey()
	s := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name,
			Labels: map[string]string{discovery.LabelServiceName: a.serviceKey().Name}},
		AddressType: discovery.AddressTypeIPv4,
		Endpoints:   []discovery.Endpoint{{Addresses: []string{fmt.Sprintf("10.7.0.%d", 1+a.IntN(200))}}},
	}
	if a.chance(60) {
		s.Labels[discovery.LabelManagedBy] = "somebody.example"
	}
	api := a.client.DiscoveryV1().EndpointSlices(key.Namespace)
	made, err := api.Create(a.ctx(), s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = api.Update(a.ctx(), s, metav1.UpdateOptions{})
	}
	if err == nil {
		a.noteSlice(made)
	}
	return err
}

func (a *author) deleteForeign() error {
	key := a.foreignKey()
	err := a.client.DiscoveryV1().EndpointSlices(key.Namespace).Delete(a.ctx(), key.Name, metav1.DeleteOptions{})
	if err == nil {
		delete(a.foreign, key)
	}
	return err
}

// withSlice does something to a slice that the controller keeps.
func (a *author) withSlice(do func(*discovery.EndpointSlice) error) error {
	list, err := a.client.DiscoveryV1().EndpointSlices(a.namespace()).List(a.ctx(), metav1.ListOptions{
		LabelSelector: discovery.LabelManagedBy + " in (" + ours + "," + mirrored + ")",
	})
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(list.Items,
		func(s discovery.EndpointSlice) bool { return s.Labels[discovery.LabelServiceName] == "kubernetes" })
	if len(kept) == 0 {
		return apierrors.NewNotFound(discovery.Resource("endpointslices"), "any")
	}
	return do(&kept[a.IntN(len(kept))])
}

func sliceChange(change func(*author, *discovery.EndpointSlice)) func(*author) error {
	return func(a *author) error {
		return a.withSlice(func(s *discovery.EndpointSlice) error {
			change(a, s)
			made, err := a.client.DiscoveryV1().EndpointSlices(s.Namespace).Update(a.ctx(), s, metav1.UpdateOptions{})
			if err == nil {
				a.noteSlice(made)
			}
			return err
		})
	}
}

// spoil says something wrong of each endpoint, or adds one that nobody asked for.
func (a *author) spoil(s *discovery.EndpointSlice) {
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		switch a.IntN(4) {
		case 0:
			e.Conditions.Ready = new(e.Conditions.Ready != nil && !*e.Conditions.Ready)
		case 1:
			e.Zone = new("nowhere")
		case 2:
			e.Hints = &discovery.EndpointHints{ForZones: []discovery.ForZone{{Name: "nowhere"}}}
		}
	}
	if s.AddressType == discovery.AddressTypeIPv4 {
		s.Endpoints = append(s.Endpoints, discovery.Endpoint{Addresses: []string{"10.66.6.6"}})
	}
}

// copySlice makes the same slice again, as two controllers at work together might.
func (a *author) copySlice() error {
	return a.withSlice(func(s *discovery.EndpointSlice) error {
		_, err := a.client.DiscoveryV1().EndpointSlices(s.Namespace).Create(a.ctx(), &discovery.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				GenerateName: "copy-", Labels: s.Labels, OwnerReferences: s.OwnerReferences,
			},
			AddressType: s.AddressType, Endpoints: s.Endpoints, Ports: s.Ports,
		}, metav1.CreateOptions{})
		return err
	})
}

func (a *author) deleteSlice() error {
	return a.withSlice(func(s *discovery.EndpointSlice) error {
		return a.client.DiscoveryV1().EndpointSlices(s.Namespace).Delete(a.ctx(), s.Name, metav1.DeleteOptions{})
	})
}
