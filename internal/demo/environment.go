package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/apply"
)

func (t *tour) environment(ctx context.Context) error {
	t.title("Make a Service, then a Pod: a container gets variables for the Services that exist when it starts",
		"kubectl get service later; kubectl get pod newcomer -o yaml")
	if err := t.apply.Manifests(ctx, apply.Manifest{Name: "later", Text: strings.NewReader(laterService)},
		apply.Manifest{Name: "newcomer", Text: strings.NewReader(newcomerPod)}); err != nil {
		return err
	}
	newcomer, err := t.waitForPod(ctx, "newcomer", isReady)
	if err != nil {
		return err
	}
	t.answered = append(t.answered, net.JoinHostPort(newcomer.Status.PodIP, servicePort))
	variables, err := t.askPod(ctx, http.MethodGet, newcomer.Status.PodIP, "/env")
	if err != nil {
		return err
	}
	later, err := t.serviceAddress(ctx, "later")
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(later)
	for _, want := range []string{"LATER_SERVICE_HOST=" + host, "LATER_SERVICE_PORT=" + port, "HELLO_SERVICE_HOST="} {
		if !strings.Contains(variables, want) {
			return fmt.Errorf("newcomer did not get %s: %q", want, variables)
		}
	}
	t.say("Pod newcomer got these variables for Services hello and later:")
	for _, line := range strings.Fields(variables) {
		if strings.HasPrefix(line, "HELLO_SERVICE") || strings.HasPrefix(line, "LATER_") {
			t.say("  %s", line)
		}
	}
	return t.olderPodHasNone(ctx)
}

// olderPodHasNone checks that a container has no variables of a Service that is younger.
func (t *tour) olderPodHasNone(ctx context.Context) error {
	pod, err := t.api.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, "hello-1", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading Pod hello-1: %w", err)
	}
	old, err := t.askPod(ctx, http.MethodGet, pod.Status.PodIP, "/env")
	if err != nil {
		return err
	}
	if strings.Contains(old, "LATER_") {
		return fmt.Errorf("hello-1 started before Service later, but got %q", old)
	}
	t.say("Pod hello-1 started before Service later and has none of the LATER_ variables.")
	return nil
}

const laterService = `
apiVersion: v1
kind: Service
metadata: {name: later}
spec:
  selector: {app: later}
  ports: [{name: http, port: 8080}]
`

const newcomerPod = `
apiVersion: v1
kind: Pod
metadata: {name: newcomer}
spec:
  containers:
    - name: echo
      image: viaduct
      command: [viaduct, echo]
      env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
      readinessProbe:
        httpGet: {path: /healthz, port: 8080}
        periodSeconds: 1
`
