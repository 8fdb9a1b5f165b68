package membership

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Slim returns the part of a Pod that the functions of this package read. It is about a quarter of the Pod's size, for
// a process that keeps every Pod in memory.
func Slim(pod *v1.Pod) *v1.Pod {
	m := &pod.ObjectMeta
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
			CreationTimestamp: m.CreationTimestamp,
			DeletionTimestamp: m.DeletionTimestamp, DeletionGracePeriodSeconds: m.DeletionGracePeriodSeconds, Labels: m.Labels,
			Annotations: balancingNotes(pod),
		},
		Spec: v1.PodSpec{
			NodeName: pod.Spec.NodeName, Hostname: pod.Spec.Hostname, Subdomain: pod.Spec.Subdomain,
			HostNetwork: pod.Spec.HostNetwork,
			Containers:  namingPorts(pod.Spec.Containers), InitContainers: namingPorts(pod.Spec.InitContainers),
		},
		Status: v1.PodStatus{
			Phase: pod.Status.Phase, Conditions: readyCondition(pod), PodIP: pod.Status.PodIP, PodIPs: pod.Status.PodIPs,
		},
	}
}

// namingPorts keeps the containers in which a targetPort may be looked up, with the fields that the look-up needs.
func namingPorts(containers []v1.Container) []v1.Container {
	var out []v1.Container
	for _, c := range containers {
		if len(c.Ports) > 0 {
			out = append(out, v1.Container{Name: c.Name, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
		}
	}
	return out
}

// readyCondition keeps only the Ready condition, without its reason and message.
func readyCondition(pod *v1.Pod) []v1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodReady {
			return []v1.PodCondition{{Type: v1.PodReady, Status: c.Status, LastTransitionTime: c.LastTransitionTime}}
		}
	}
	return nil
}
