package endpoints_test

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func serviceOperations() []operation {
	return []operation{
		{"create a service", 10, (*author).createService},
		{"change a service's selector", 3,
			serviceChange(func(a *author, svc *v1.Service) { svc.Spec.Selector = a.selector() })},
		{"take away a service's selector", 1, serviceChange(func(_ *author, svc *v1.Service) { svc.Spec.Selector = nil })},
		{"change a service's ports", 3,
			serviceChange(func(a *author, svc *v1.Service) { svc.Spec.Ports = a.servicePorts() })},
		{"change a service's type", 2, serviceChange((*author).changeType)},
		{"change a service's families", 2, serviceChange((*author).changeFamilies)},
		{"change publishNotReadyAddresses", 2, serviceChange(func(_ *author, svc *v1.Service) {
			svc.Spec.PublishNotReadyAddresses = !svc.Spec.PublishNotReadyAddresses
		})},
		{"change a service's labels", 2, serviceChange(func(a *author, svc *v1.Service) { svc.Labels = a.serviceLabels() })},
		{"change a service's topology", 3, serviceChange((*author).changeTopology)},
		{"delete a service", 3, (*author).deleteService},
		{"take finalizers off a service", 2, serviceChange(func(_ *author, svc *v1.Service) { svc.Finalizers = nil })},
	}
}

func (a *author) selector() map[string]string {
	switch {
	case a.chance(10):
		return nil
	case a.chance(30):
		return map[string]string{"app": oneOf(a, "a", "b"), "tier": oneOf(a, "x", "y")}
	}
	return map[string]string{"app": oneOf(a, "a", "a", "b", "c")}
}

func (a *author) serviceLabels() map[string]string {
	if a.chance(20) { // a label that is the controller's to set, and that of another Service
		return map[string]string{v1.IsHeadlessService: "yes", "kubernetes.io/service-name": "other", "team": "red"}
	}
	return map[string]string{"team": oneOf(a, "red", "blue")}
}

func (a *author) servicePorts() []v1.ServicePort {
	http := v1.ServicePort{Name: "web", Port: 80, TargetPort: oneOf(a, intstr.FromString("http"), intstr.FromInt32(8080),
		intstr.FromInt32(9090))}
	if a.chance(20) {
		http.AppProtocol = new("kubernetes.io/h2c")
	}
	dns := v1.ServicePort{Name: "dns", Port: 53, Protocol: v1.ProtocolUDP, TargetPort: oneOf(a, intstr.FromString("dns"),
		intstr.FromInt32(53))}
	if a.chance(60) {
		if a.chance(50) {
			http.Name = ""
		}
		return []v1.ServicePort{http}
	}
	return []v1.ServicePort{http, dns}
}

func (a *author) createService() error {
	key := a.serviceKey()
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name, Labels: a.serviceLabels()},
		Spec:       v1.ServiceSpec{Selector: a.selector(), Ports: a.servicePorts(), PublishNotReadyAddresses: a.chance(15)},
	}
	svc.Spec.IPFamilyPolicy = oneOf(a, nil, new(v1.IPFamilyPolicySingleStack), new(v1.IPFamilyPolicyPreferDualStack),
		new(v1.IPFamilyPolicyRequireDualStack))
	if a.chance(25) {
		svc.Spec.IPFamilies = []v1.IPFamily{v1.IPv6Protocol}
	}
	if a.chance(30) {
		svc.Spec.ClusterIP = v1.ClusterIPNone
		if a.chance(30) {
			svc.Spec.Ports = nil
		}
	}
	if a.chance(15) {
		svc.Finalizers = []string{finalizer}
	}
	a.changeTopology(svc)
	made, err := a.client.CoreV1().Services(key.Namespace).Create(a.ctx(), svc, metav1.CreateOptions{})
	if err == nil {
		a.noteService(made)
	}
	return err
}

// noteService remembers who may write the Endpoints of svc: those of a Service with a selector are the controller's.
func (a *author) noteService(svc *v1.Service) {
	if len(svc.Spec.Selector) > 0 {
		a.selected[keyOf(svc)] = a.round
		delete(a.byHand, keyOf(svc))
	}
	if svc.DeletionTimestamp != nil { // the server itself deletes the Endpoints of its name, once it goes
		delete(a.byHand, keyOf(svc))
	}
}

// noteStored notes the Service of a name as it is, if it is.
func (a *author) noteStored(key types.NamespacedName) error {
	svc, err := a.client.CoreV1().Services(key.Namespace).Get(a.ctx(), key.Name, metav1.GetOptions{})
	if err == nil {
		a.noteService(svc)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// serviceChange is an operation on some Service that is there.
func serviceChange(change func(*author, *v1.Service)) func(*author) error {
	return func(a *author) error {
		key := a.serviceKey()
		svc, err := a.client.CoreV1().Services(key.Namespace).Get(a.ctx(), key.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		a.noteService(svc)
		change(a, svc)
		changed, err := a.client.CoreV1().Services(key.Namespace).Update(a.ctx(), svc, metav1.UpdateOptions{})
		if err == nil {
			a.noteService(changed)
		}
		return err
	}
}

// changeType makes a Service stand for an external name, or no longer.
func (a *author) changeType(svc *v1.Service) {
	if svc.Spec.Type != v1.ServiceTypeExternalName {
		svc.Spec.Type, svc.Spec.ExternalName, svc.Spec.ClusterIP, svc.Spec.ClusterIPs = v1.ServiceTypeExternalName,
			"example.org", "", nil
		svc.Spec.IPFamilies, svc.Spec.IPFamilyPolicy, svc.Spec.TrafficDistribution = nil, nil, nil
		return
	}
	svc.Spec.Type, svc.Spec.ExternalName = oneOf(a, v1.ServiceTypeClusterIP, v1.ServiceTypeNodePort), ""
	svc.Spec.IPFamilyPolicy = oneOf(a, new(v1.IPFamilyPolicySingleStack), new(v1.IPFamilyPolicyRequireDualStack))
}

// changeFamilies gives a Service its second family, or takes it away. The primary one cannot change.
func (a *author) changeFamilies(svc *v1.Service) {
	if len(svc.Spec.IPFamilies) == 2 {
		svc.Spec.IPFamilyPolicy = new(v1.IPFamilyPolicySingleStack)
		svc.Spec.IPFamilies = svc.Spec.IPFamilies[:1]
		svc.Spec.ClusterIPs = svc.Spec.ClusterIPs[:1]
		return
	}
	svc.Spec.IPFamilyPolicy = new(v1.IPFamilyPolicyRequireDualStack)
}

func (a *author) changeTopology(svc *v1.Service) {
	delete(svc.Annotations, v1.AnnotationTopologyMode)
	svc.Spec.TrafficDistribution = nil
	if svc.Spec.Type == v1.ServiceTypeExternalName {
		return
	}
	switch a.IntN(6) {
	case 0:
		svc.Annotations = map[string]string{v1.AnnotationTopologyMode: "Auto"}
	case 1:
		svc.Spec.TrafficDistribution = new(v1.ServiceTrafficDistributionPreferClose)
	case 2:
		svc.Spec.TrafficDistribution = new(v1.ServiceTrafficDistributionPreferSameZone)
	case 3:
		svc.Spec.TrafficDistribution = new(v1.ServiceTrafficDistributionPreferSameNode)
	}
}

// deleteService also ends the Endpoints of the name: the server itself deletes them.
func (a *author) deleteService() error {
	key := a.serviceKey()
	if err := a.noteStored(key); err != nil {
		return err
	}
	if err := a.client.CoreV1().Services(key.Namespace).Delete(a.ctx(), key.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	delete(a.byHand, key)
	return nil
}

func nodeOperations() []operation {
	return []operation{
		{"write a node", 5, (*author).writeNode},
		{"change a node's status", 3, (*author).changeNode},
		{"delete a node", 1, func(a *author) error {
			return a.client.CoreV1().Nodes().Delete(a.ctx(), a.nodeName(), metav1.DeleteOptions{})
		}},
	}
}

// writeNode makes a node, or gives it another zone.
func (a *author) writeNode() error {
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: a.nodeName(), Labels: map[string]string{}}}
	if a.chance(85) {
		node.Labels[v1.LabelTopologyZone] = fmt.Sprintf("zone-%d", a.IntN(3))
	}
	if a.chance(10) {
		node.Labels["node-role.kubernetes.io/control-plane"] = ""
	}
	made, err := a.client.CoreV1().Nodes().Create(a.ctx(), node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		was, err := a.client.CoreV1().Nodes().Get(a.ctx(), node.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		was.Labels = node.Labels
		_, err = a.client.CoreV1().Nodes().Update(a.ctx(), was, metav1.UpdateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	return a.setNode(made, v1.ConditionTrue, 4)
}

func (a *author) changeNode() error {
	node, err := a.client.CoreV1().Nodes().Get(a.ctx(), a.nodeName(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	return a.setNode(node, oneOf(a, v1.ConditionTrue, v1.ConditionTrue, v1.ConditionFalse), oneOf[int64](a, 0, 2, 4, 16))
}

func (a *author) setNode(node *v1.Node, ready v1.ConditionStatus, cpus int64) error {
	node.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: ready}}
	node.Status.Allocatable = v1.ResourceList{v1.ResourceCPU: *resource.NewQuantity(cpus, resource.DecimalSI)}
	_, err := a.client.CoreV1().Nodes().UpdateStatus(a.ctx(), node, metav1.UpdateOptions{})
	return err
}
