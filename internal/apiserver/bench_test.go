package apiserver_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// BenchmarkStatusWrite measures one update of a Pod's status until it is acknowledged, and until a watcher has seen it,
// for a client in the process and for one over TLS.
func BenchmarkStatusWrite(b *testing.B) {
	server := apitest.Start(b)
	outside, err := clientcmd.BuildConfigFromFlags("", apiserver.KubeconfigPath(server.DataDir))
	if err != nil {
		b.Fatal(err)
	}
	outside.QPS = -1
	clients := map[string]*kubernetes.Clientset{"in process": server.Client(b),
		"over TLS": kubernetes.NewForConfigOrDie(outside)}
	pods := server.Client(b).CoreV1().Pods("default")
	pod, err := pods.Create(b.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for name, client := range clients {
		b.Run(name, func(b *testing.B) { benchmarkStatusWrite(b, client, pod.Name) })
	}
}

func benchmarkStatusWrite(b *testing.B, client *kubernetes.Clientset, name string) {
	pods := client.CoreV1().Pods("default")
	watch, err := pods.Watch(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Stop()
	<-watch.ResultChan()
	for i := 0; b.Loop(); i++ {
		pod, err := pods.Get(b.Context(), name, metav1.GetOptions{ResourceVersion: "0"})
		if err != nil {
			b.Fatal(err)
		}
		pod.ResourceVersion = ""
		pod.Status.Message = fmt.Sprint(i)
		if _, err := pods.UpdateStatus(b.Context(), pod, metav1.UpdateOptions{}); err != nil {
			b.Fatal(err)
		}
		for event := range watch.ResultChan() {
			if event.Object.(*corev1.Pod).Status.Message == pod.Status.Message {
				break
			}
		}
	}
}
