package apiserver_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
)

// A server with its own store, and a client in the same process.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "apiserver")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server, err := apiserver.New(ctx, apiserver.Options{
		DataDir: dir, Listen: "127.0.0.1:0", ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("127.96.0.0/16")},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	<-server.Ready()

	client, err := kubernetes.NewForConfig(server.ClientConfig(apiserver.UserAdmin))
	if err != nil {
		log.Fatal(err)
	}
	svc, err := client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{ClusterIP: "127.96.0.80", Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(svc.Name, svc.Spec.Type, svc.Spec.ClusterIP, svc.Spec.Ports[0].TargetPort.String())

	cancel()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output: web ClusterIP 127.96.0.80 80
}
