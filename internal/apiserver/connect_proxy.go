package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	utilproxy "k8s.io/apimachinery/pkg/util/proxy"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// The subresources services/proxy and pods/proxy: the server passes a request on to a Pod, for a client that can reach
// the API only.

// dialTimeout is how long a Pod may take to accept a connection.
const dialTimeout = 10 * time.Second

// proxyREST serves the proxy subresource of one resource. Where a request goes is locate's to say: id is
// [scheme:]name[:port].
type proxyREST struct {
	newOptions func() runtime.Object // with the path below the subresource, which pathOf reads
	locate     func(ctx context.Context, id string) (*url.URL, error)
	transport  *http.Transport
}

var (
	_ rest.Connecter = &proxyREST{}
	_ rest.Storage   = &proxyREST{}
)

// New implements rest.Storage. It says what the requests are of: were it the Service or the Pod, clients that read the
// API's description would take a proxied PATCH for a patch of it.
func (r *proxyREST) New() runtime.Object { return r.newOptions() }

// Destroy implements rest.Storage.
func (r *proxyREST) Destroy() { r.transport.CloseIdleConnections() }

// ConnectMethods implements rest.Connecter.
func (r *proxyREST) ConnectMethods() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions}
}

// NewConnectOptions implements rest.Connecter.
func (r *proxyREST) NewConnectOptions() (runtime.Object, bool, string) {
	return r.newOptions(), true, "path"
}

// Connect implements rest.Connecter.
func (r *proxyREST) Connect(ctx context.Context, id string, options runtime.Object,
	responder rest.Responder) (http.Handler, error) {
	location, err := r.locate(ctx, id)
	if err != nil {
		return nil, err
	}
	location.Path = utilnet.JoinPreservingTrailingSlash(location.Path, pathOf(options))
	return utilproxy.NewUpgradeAwareHandler(location, r.transport, true, false, utilproxy.NewErrorResponder(responder)),
		nil
}

func pathOf(options runtime.Object) string {
	switch o := options.(type) {
	case *corev1.ServiceProxyOptions:
		return o.Path
	case *corev1.PodProxyOptions:
		return o.Path
	}
	return ""
}

// addProxyOptions tells the scheme how a request's query becomes options.
func addProxyOptions(s *runtime.Scheme) error {
	return errors.Join(
		s.AddConversionFunc((*url.Values)(nil), (*corev1.ServiceProxyOptions)(nil),
			func(in, out any, _ conversion.Scope) error {
				out.(*corev1.ServiceProxyOptions).Path = in.(*url.Values).Get("path")
				return nil
			}),
		s.AddConversionFunc((*url.Values)(nil), (*corev1.PodProxyOptions)(nil), func(in, out any, _ conversion.Scope) error {
			out.(*corev1.PodProxyOptions).Path = in.(*url.Values).Get("path")
			return nil
		}),
	)
}

// backends finds the Pod that a proxied request is for.
type backends struct {
	services, endpoints, pods *registry.Store
	allowLoopback             bool // Pods may be at loopback addresses: the host is the cluster
}

// install adds the proxy subresources.
func (l *backends) install(b *builder) {
	// The certificate of a Pod is of nobody's making whom the server could know; and what is behind a proxy of the
	// environment is no Pod.
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     90 * time.Second,
	}
	b.add(corev1.Resource("services"), "proxy", &proxyREST{
		newOptions: func() runtime.Object { return &corev1.ServiceProxyOptions{} },
		locate:     l.service, transport: transport,
	})
	b.add(corev1.Resource("pods"), "proxy", &proxyREST{
		newOptions: func() runtime.Object { return &corev1.PodProxyOptions{} },
		locate:     l.pod, transport: transport,
	})
}

// service picks, at random, a ready endpoint of a Service that belongs to a Pod. Endpoints that are nobody's Pod are
// passed over, or whoever may write Endpoints could make the server call any address at all.
func (l *backends) service(ctx context.Context, id string) (*url.URL, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	if number, err := strconv.ParseInt(port, 10, 64); err == nil {
		if port, err = l.portName(ctx, name, number); err != nil {
			return nil, err
		}
	}
	obj, err := l.endpoints.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	subsets := obj.(*corev1.Endpoints).Subsets
	if len(subsets) == 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	}
	for _, subset := range rotated(subsets) {
		i := slices.IndexFunc(subset.Ports, func(p corev1.EndpointPort) bool { return p.Name == port })
		if i < 0 {
			continue
		}
		for _, a := range rotated(subset.Addresses) {
			if l.ofPod(ctx, a) {
				return &url.URL{Scheme: scheme, Host: net.JoinHostPort(a.IP, strconv.Itoa(int(subset.Ports[i].Port)))}, nil
			}
		}
	}
	return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", id))
}

// portName is the name of a Service's port of which the number is given: Endpoints know it by its name.
func (l *backends) portName(ctx context.Context, service string, number int64) (string, error) {
	obj, err := l.services.Get(ctx, service, &metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	for _, port := range obj.(*corev1.Service).Spec.Ports {
		if int64(port.Port) == number {
			return port.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, service))
}

// rotated is list from a random place on, and then its beginning.
func rotated[T any](list []T) []T {
	if len(list) < 2 {
		return list
	}
	start := rand.IntN(len(list))
	return slices.Concat(list[start:], list[:start])
}

// ofPod says whether an address is that of the Pod it claims to be of, in the namespace of the request.
func (l *backends) ofPod(ctx context.Context, a corev1.EndpointAddress) bool {
	if a.TargetRef == nil || a.TargetRef.Namespace != apirequest.NamespaceValue(ctx) || l.refused(a.IP) != nil {
		return false
	}
	obj, err := l.pods.Get(ctx, a.TargetRef.Name, &metav1.GetOptions{})
	if err != nil {
		return false // gone, or not to be found out: the next address is as good
	}
	return slices.Contains(obj.(*corev1.Pod).Status.PodIPs, corev1.PodIP{IP: a.IP})
}

// pod is where a Pod listens: at the port asked for, or at the first that its containers name.
func (l *backends) pod(ctx context.Context, id string) (*url.URL, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	obj, err := l.pods.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := obj.(*corev1.Pod)
	if port == "" {
		port = firstPort(pod)
	}
	ip := pod.Status.PodIP
	if ip == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %q has no address yet", name))
	}
	if err := l.refused(ip); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	host := ip
	if port != "" {
		host = net.JoinHostPort(ip, port)
	} else if netip.MustParseAddr(ip).Is6() {
		host = "[" + ip + "]"
	}
	return &url.URL{Scheme: scheme, Host: host}, nil
}

func firstPort(pod *corev1.Pod) string {
	for _, c := range pod.Spec.Containers {
		if len(c.Ports) > 0 {
			return strconv.Itoa(int(c.Ports[0].ContainerPort))
		}
	}
	return ""
}

// refused says why the server does not call an address: a Pod that claims one of the host's own, or of its link, would
// borrow the server's place in the network. Loopback addresses are Pods' own where the host is the cluster; link-local
// ones nowhere.
func (l *backends) refused(ip string) error {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return fmt.Errorf("%q is no address", ip)
	}
	addr = addr.Unmap()
	switch {
	case addr.IsLoopback() && l.allowLoopback:
		return nil
	case !addr.IsGlobalUnicast():
		return fmt.Errorf("address %s not allowed", ip)
	}
	return nil
}
