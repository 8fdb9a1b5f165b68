package node

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// requestTimeout bounds one request to the API.
const requestTimeout = 5 * time.Second

// fetchInputs reads the objects that the environment of c is made from. It lists the Services instead of using a cache:
// a container must see a Service that was created before its Pod, and two watches do not keep that order. An object
// that does not exist is left out; that is no error here.
func (w *worker) fetchInputs(ctx context.Context, c *v1.Container) (envInputs, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	in := envInputs{
		Pod: w.pod, PodIPs: texts(w.ips), HostIPs: []string{w.agent.opts.HostIP.String()}, Node: w.agent.capacity,
		ConfigMaps: map[string]*v1.ConfigMap{}, Secrets: map[string]*v1.Secret{},
	}
	var err error
	if in.Services, err = w.listServices(ctx); err != nil {
		return in, fmt.Errorf("listing services: %w", err)
	}
	core, configMaps, secrets := w.agent.client.CoreV1(), []string(nil), []string(nil)
	configMaps, secrets = references(c)
	for _, name := range configMaps {
		if err := keep(in.ConfigMaps, name, func() (*v1.ConfigMap, error) {
			return core.ConfigMaps(w.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		}); err != nil {
			return in, fmt.Errorf("reading configmap %q: %w", name, err)
		}
	}
	for _, name := range secrets {
		if err := keep(in.Secrets, name, func() (*v1.Secret, error) {
			return core.Secrets(w.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		}); err != nil {
			return in, fmt.Errorf("reading secret %q: %w", name, err)
		}
	}
	return in, nil
}

// keep stores the object that get gives under name; an object that does not exist is left out.
func keep[T any](objects map[string]*T, name string, get func() (*T, error)) error {
	object, err := get()
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		objects[name] = object
	}
	return err
}

// listServices lists the Services that are visible from the Pod: those of its namespace, and the API server's own.
func (w *worker) listServices(ctx context.Context) ([]*v1.Service, error) {
	core, services := w.agent.client.CoreV1(), []*v1.Service{}
	list, err := core.Services(w.pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		services = append(services, &list.Items[i])
	}
	if w.pod.Namespace == metav1.NamespaceDefault {
		return services, nil
	}
	master, err := core.Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return services, nil
	}
	return append(services, master), err
}
