package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/scheme"

	"viaduct/internal/apiserver/store"
)

// fillStore writes Services and their ready Pods into the store of a data directory, as a server does. Through the API,
// a hundred thousand Pods would take minutes. The Services are headless, because an allocated address needs more than
// one key.
func fillStore(ctx context.Context, dataDir string, services, pods int) error {
	s, err := store.Open(ctx, store.Options{Dir: filepath.Join(dataDir, "etcd"),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	defer s.Close()
	w := &storeWriter{client: s.Client().Client}
	for i := range services {
		app := fmt.Sprintf("s%d", i)
		if err := w.put(ctx, "/registry/services/specs/"+namespace+"/"+app, storedService(app)); err != nil {
			return err
		}
		for p := range pods {
			pod := storedPod(app, p, i*pods+p)
			if err := w.put(ctx, "/registry/pods/"+namespace+"/"+pod.Name, pod); err != nil {
				return err
			}
		}
	}
	return w.flush(ctx)
}

func storedMeta(name, app string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace, UID: uuid.NewUUID(), CreationTimestamp: metav1.NewTime(time.Now()),
		Labels: map[string]string{"app": app, "app.kubernetes.io/managed-by": "bench"},
	}
}

func storedService(app string) *corev1.Service {
	single := corev1.IPFamilyPolicySingleStack
	return &corev1.Service{
		ObjectMeta: storedMeta(app, app),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: corev1.ClusterIPNone, ClusterIPs: []string{corev1.ClusterIPNone},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, IPFamilyPolicy: &single,
			SessionAffinity: corev1.ServiceAffinityNone,
			Selector:        map[string]string{"app": app, "app.kubernetes.io/managed-by": "bench"},
			Ports: []corev1.ServicePort{{Port: servicePort, TargetPort: intstr.FromInt32(servicePort),
				Protocol: corev1.ProtocolTCP}},
		},
	}
}

func storedPod(app string, n, i int) *corev1.Pod {
	ip := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)
	return &corev1.Pod{
		ObjectMeta: storedMeta(fmt.Sprintf("%s-%d", app, n), app),
		Spec: corev1.PodSpec{
			NodeName:   fmt.Sprintf("node-%d", i%loadNodes),
			Containers: []corev1.Container{{Name: "c", Image: "none", Command: []string{"true"}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue,
				LastTransitionTime: metav1.Now()}},
		},
	}
}

// storeWriter writes objects in large transactions.
type storeWriter struct {
	client *clientv3.Client
	ops    []clientv3.Op
}

// maxOps is the limit of etcd for the operations of one transaction.
const maxOps = 128

func (w *storeWriter) put(ctx context.Context, key string, obj runtime.Object) error {
	var b bytes.Buffer
	serializer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	if err := scheme.Codecs.EncoderForVersion(serializer, corev1.SchemeGroupVersion).Encode(obj, &b); err != nil {
		return fmt.Errorf("encoding %s: %w", key, err)
	}
	w.ops = append(w.ops, clientv3.OpPut(key, b.String()))
	if len(w.ops) < maxOps {
		return nil
	}
	return w.flush(ctx)
}

func (w *storeWriter) flush(ctx context.Context) error {
	_, err := w.client.Txn(ctx).Then(w.ops...).Commit()
	w.ops = nil
	return err
}
