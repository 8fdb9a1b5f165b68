package waitfor

import (
	"context"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

func newClient(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(apitest.Start(t).ClientConfig(apiserver.UserAdmin))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func configMaps(client kubernetes.Interface) Kind {
	return Kind{Client: client.CoreV1().RESTClient(), Resource: "configmaps", Namespace: metav1.NamespaceDefault}
}

func TestObjectReturnsTheWantedState(t *testing.T) {
	client := newClient(t)
	maps := client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	object := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}
	if _, err := maps.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	seen, updated := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(updated)
		<-seen
		object.Data = map[string]string{"color": "blue"}
		if _, err := maps.Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
			t.Error(err)
		}
	}()
	got, err := Object(t.Context(), configMaps(client), "settings", &v1.ConfigMap{}, func(m *v1.ConfigMap) bool {
		if m.Data == nil {
			close(seen)
		}
		return m.Data["color"] == "blue"
	})
	<-updated
	if err != nil || got.Name != "settings" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestObjectNamesWhatItWaitedFor(t *testing.T) {
	client := newClient(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Object(ctx, configMaps(client), "missing", &v1.ConfigMap{}, func(*v1.ConfigMap) bool { return true })
	if err == nil || !strings.Contains(err.Error(), "waiting for configmaps default/missing: ") {
		t.Errorf("got %v, want an error that names the object", err)
	}
}
