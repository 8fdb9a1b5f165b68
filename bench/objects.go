package main

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	namespace   = "default"
	servicePort = 8080
)

// makeService creates a Service that selects app=name, and Pods with that label which are ready at the given addresses.
func (u *up) makeService(ctx context.Context, name string, addrs []string) (clusterIP string, err error) {
	svc, err := u.client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: servicePort, TargetPort: intstr.FromInt32(servicePort)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	for i, addr := range addrs {
		pod := fmt.Sprintf("%s-%d", name, i)
		if err := u.makePod(ctx, pod, name, nodeName); err != nil {
			return "", err
		}
		if err := u.setStatus(ctx, pod, addr, true); err != nil {
			return "", err
		}
	}
	return svc.Spec.ClusterIP, nil
}

func (u *up) makePod(ctx context.Context, name, app, node string) error {
	_, err := u.client.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			NodeName:   node,
			Containers: []corev1.Container{{Name: "c", Image: "none", Command: []string{"true"}}},
		},
	}, metav1.CreateOptions{})
	return err
}

// setStatus writes a Pod's status as a node agent does. It returns when the write is acknowledged.
func (u *up) setStatus(ctx context.Context, pod, addr string, ready bool) error {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	patch, err := json.Marshal(map[string]any{"status": corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: addr, PodIPs: []corev1.PodIP{{IP: addr}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}},
	}})
	if err != nil {
		return err
	}
	_, err = u.client.CoreV1().Pods(namespace).Patch(ctx, pod, types.StrategicMergePatchType, patch, metav1.PatchOptions{},
		"status")
	return err
}

// addr returns the i-th address of the Pod range.
func (u *up) addr(i int) string { return fmt.Sprintf("%s.%d.%d", u.pods, i/250, 1+i%250) }
