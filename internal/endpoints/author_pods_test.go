package endpoints_test

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const finalizer = "example.org/wait"

func podOperations() []operation {
	return []operation{
		{"create a pod", 16, func(a *author) error { return a.createPod(a.podKey(), a.labels()) }},
		{"roll out", 2, (*author).rollOut},
		{"flip a pod's readiness", 24, (*author).flipPod},
		{"change a pod's addresses", 5, (*author).movePod},
		{"end a pod", 3, (*author).finishPod},
		{"relabel a pod", 6, (*author).relabelPod},
		{"delete a pod", 5, (*author).deletePod},
		{"delete a pod at once", 5, (*author).killPod},
		{"take finalizers off a pod", 3, (*author).releasePod},
		{"bind a pod", 3, (*author).bindPod},
	}
}

func (a *author) podKey() types.NamespacedName {
	return types.NamespacedName{Namespace: a.namespace(), Name: fmt.Sprintf("p%d", a.IntN(podNames))}
}

// createPod makes a Pod, and mostly lets it run.
func (a *author) createPod(key types.NamespacedName, labels map[string]string) error {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Labels: labels},
		Spec: v1.PodSpec{Containers: a.containers()}}
	if a.chance(85) {
		pod.Spec.NodeName = a.nodeName()
	}
	pod.Spec.HostNetwork = pod.Spec.NodeName != "" && a.chance(15)
	if a.chance(15) {
		pod.Spec.Hostname, pod.Spec.Subdomain = key.Name+"-host", a.serviceKey().Name
	}
	if a.chance(8) {
		pod.Finalizers = []string{finalizer}
	}
	if a.chance(10) {
		always := v1.ContainerRestartPolicyAlways
		pod.Spec.InitContainers = []v1.Container{{Name: "beside", Image: "i", RestartPolicy: &always,
			Ports: a.containerPorts(7070)}}
	}
	made, err := a.client.CoreV1().Pods(key.Namespace).Create(a.ctx(), pod, metav1.CreateOptions{})
	if err != nil || a.chance(10) {
		return err
	}
	a.place(made)
	a.setReady(made, a.chance(75))
	_, err = a.client.CoreV1().Pods(key.Namespace).UpdateStatus(a.ctx(), made, metav1.UpdateOptions{})
	return err
}

// containers have a port of the name "http" mostly, at several numbers, and sometimes one of the name "dns" for UDP.
func (a *author) containers() []v1.Container {
	return []v1.Container{{Name: "c", Image: "i", Ports: a.containerPorts(8080)}}
}

func (a *author) containerPorts(base int32) []v1.ContainerPort {
	var ports []v1.ContainerPort
	if a.chance(85) {
		ports = append(ports, v1.ContainerPort{Name: "http", ContainerPort: base + oneOf[int32](a, 0, 0, 0, 1)})
	}
	if a.chance(40) {
		ports = append(ports, v1.ContainerPort{Name: "dns", ContainerPort: base + 100, Protocol: v1.ProtocolUDP})
	}
	return ports
}

// place gives a Pod addresses: its node's, or its own, of one family or both.
func (a *author) place(pod *v1.Pod) {
	a.made++
	v4, v6 := fmt.Sprintf("10.1.%d.%d", a.made/250, a.made%250+1), fmt.Sprintf("fd00:1::%x", a.made)
	if pod.Spec.HostNetwork {
		v4, v6 = "192.168.0."+pod.Spec.NodeName[1:], "fd00:2::"+pod.Spec.NodeName[1:]
	}
	ips := oneOf(a, []string{v4}, []string{v4}, []string{v4, v6}, []string{v4, v6}, []string{v6, v4}, []string{v6})
	pod.Status.PodIP, pod.Status.PodIPs, pod.Status.Phase = ips[0], nil, v1.PodRunning
	for _, ip := range ips {
		pod.Status.PodIPs = append(pod.Status.PodIPs, v1.PodIP{IP: ip})
	}
}

func (a *author) setReady(pod *v1.Pod, ready bool) {
	condition := v1.PodCondition{Type: v1.PodReady, Status: v1.ConditionFalse, LastTransitionTime: metav1.Now()}
	if ready {
		condition.Status = v1.ConditionTrue
	}
	pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodInitialized, Status: v1.ConditionTrue}, condition}
}

// rollOut replaces a run of Pods by new ones of the same labels, as a Deployment may.
func (a *author) rollOut() error {
	namespace, labels, first := a.namespace(), a.labels(), a.IntN(podNames)
	for i := range 5 + a.IntN(25) {
		key := types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("p%d", (first+i)%podNames)}
		// One that is not there, or waits for its finalizer, is none of the roll-out's.
		_ = a.client.CoreV1().Pods(namespace).Delete(a.ctx(), key.Name, *metav1.NewDeleteOptions(0))
		_ = a.createPod(key, labels)
	}
	return nil
}

// populate makes enough Pods of the same labels for a Service of theirs to need several slices.
func (a *author) populate() {
	for i := range podNames {
		key := types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("p%d", i)}
		if err := a.createPod(key, map[string]string{"app": "a", "tier": oneOf(a, "x", "x", "y")}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// changeStatus changes the status of some Pod that is there.
func (a *author) changeStatus(change func(*v1.Pod)) error {
	return a.withPod(func(pod *v1.Pod) error {
		change(pod)
		_, err := a.client.CoreV1().Pods(pod.Namespace).UpdateStatus(a.ctx(), pod, metav1.UpdateOptions{})
		return err
	})
}

// withPod finds a Pod that is there, from a name on that is drawn.
func (a *author) withPod(do func(*v1.Pod) error) error {
	key := a.podKey()
	pod, err := a.client.CoreV1().Pods(key.Namespace).Get(a.ctx(), key.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return do(pod)
}

func (a *author) flipPod() error {
	return a.changeStatus(func(pod *v1.Pod) {
		if pod.Status.PodIP == "" {
			a.place(pod)
		}
		a.setReady(pod, len(pod.Status.Conditions) < 2 || pod.Status.Conditions[1].Status != v1.ConditionTrue)
	})
}

func (a *author) movePod() error { return a.changeStatus(a.place) }

func (a *author) finishPod() error {
	return a.changeStatus(func(pod *v1.Pod) {
		pod.Status.Phase = oneOf(a, v1.PodSucceeded, v1.PodFailed)
		if a.chance(50) { // or it ends as it was, which is a change of nothing but the phase
			a.setReady(pod, false)
		}
	})
}

func (a *author) relabelPod() error {
	return a.withPod(func(pod *v1.Pod) error {
		pod.Labels = a.labels()
		_, err := a.client.CoreV1().Pods(pod.Namespace).Update(a.ctx(), pod, metav1.UpdateOptions{})
		return err
	})
}

func (a *author) deletePod() error {
	key := a.podKey()
	return a.client.CoreV1().Pods(key.Namespace).Delete(a.ctx(), key.Name, metav1.DeleteOptions{})
}

func (a *author) killPod() error {
	key := a.podKey()
	return a.client.CoreV1().Pods(key.Namespace).Delete(a.ctx(), key.Name, *metav1.NewDeleteOptions(0))
}

func (a *author) releasePod() error {
	return a.withPod(func(pod *v1.Pod) error {
		pod.Finalizers = nil
		_, err := a.client.CoreV1().Pods(pod.Namespace).Update(a.ctx(), pod, metav1.UpdateOptions{})
		return err
	})
}

func (a *author) bindPod() error {
	key := a.podKey()
	return a.client.CoreV1().Pods(key.Namespace).Bind(a.ctx(), &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name}, Target: v1.ObjectReference{Kind: "Node", Name: a.nodeName()},
	}, metav1.CreateOptions{})
}
