// Package connect holds the subresources that connect a client with a Pod through the API server: services/proxy and
// pods/proxy. They serve clients that can reach only the API.
package connect

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
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	utilproxy "k8s.io/apimachinery/pkg/util/proxy"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/resource"
)

// dialTimeout bounds the time that a Pod takes to accept a connection.
const dialTimeout = 10 * time.Second

// proxyREST handles the proxy subresource of one resource. locate returns the target of a request; id is
// [scheme:]name[:port].
type proxyREST struct {
	newOptions func() runtime.Object // they carry the path below the subresource
	locate     func(ctx context.Context, id string) (*url.URL, error)
	transport  *http.Transport
}

var (
	_ rest.Connecter = &proxyREST{}
	_ rest.Storage   = &proxyREST{}
)

// New implements rest.Storage. It returns the options, not a Service or Pod: clients that read the API's description
// would take a proxied PATCH for a patch of that object.
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

// addProxyOptions registers how a request's query becomes options.
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

// Config says where the targets of proxied requests are looked up. All fields are required.
type Config struct {
	Services  resource.Storage[*corev1.Service]
	Endpoints resource.Storage[*corev1.Endpoints]
	Pods      resource.Storage[*corev1.Pod]
	// AllowLoopback allows Pods at loopback addresses: the host is the cluster.
	AllowLoopback bool
}

// locator finds the Pod that a proxied request is for.
type locator struct{ Config }

// Declare adds the subresources services/proxy and pods/proxy.
func Declare(b *resource.Builder, c Config) error {
	l := &locator{c}
	// The server cannot verify a Pod's certificate, because it does not know the issuer. It ignores the proxies of its
	// environment, since Pods are not behind them.
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     90 * time.Second,
	}
	b.Add(corev1.Resource("services"), "proxy", &proxyREST{
		newOptions: func() runtime.Object { return &corev1.ServiceProxyOptions{} },
		locate:     l.service, transport: transport,
	})
	b.Add(corev1.Resource("pods"), "proxy", &proxyREST{
		newOptions: func() runtime.Object { return &corev1.PodProxyOptions{} },
		locate:     l.pod, transport: transport,
	})
	return addProxyOptions(b.Schemes().Types)
}

// service returns a random ready endpoint of a Service. It skips endpoints that are not a Pod's: otherwise a user who
// writes Endpoints could make the server connect to any address.
func (l *locator) service(ctx context.Context, id string) (*url.URL, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	if number, err := strconv.ParseInt(port, 10, 64); err == nil {
		if port, err = l.portName(ctx, name, number); err != nil {
			return nil, err
		}
	}
	found, err := l.Endpoints.Get(ctx, apirequest.NamespaceValue(ctx), name, "")
	if err != nil {
		return nil, err
	}
	subsets := found.Subsets
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

// portName returns the name of a Service's port by its number. Endpoints have only the name.
func (l *locator) portName(ctx context.Context, service string, number int64) (string, error) {
	found, err := l.Services.Get(ctx, apirequest.NamespaceValue(ctx), service, "")
	if err != nil {
		return "", err
	}
	for _, port := range found.Spec.Ports {
		if int64(port.Port) == number {
			return port.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, service))
}

// rotated returns list, rotated by a random distance.
func rotated[T any](list []T) []T {
	if len(list) < 2 {
		return list
	}
	start := rand.IntN(len(list))
	return slices.Concat(list[start:], list[:start])
}

// ofPod reports whether the address is that of the Pod in its targetRef, in the namespace of the request.
func (l *locator) ofPod(ctx context.Context, a corev1.EndpointAddress) bool {
	if a.TargetRef == nil || a.TargetRef.Namespace != apirequest.NamespaceValue(ctx) || l.refused(a.IP) != nil {
		return false
	}
	pod, err := l.Pods.Get(ctx, a.TargetRef.Namespace, a.TargetRef.Name, "")
	if err != nil {
		return false // try the next address
	}
	return slices.Contains(pod.Status.PodIPs, corev1.PodIP{IP: a.IP})
}

// pod returns the address of a Pod, with the requested port or else the first port of its containers.
func (l *locator) pod(ctx context.Context, id string) (*url.URL, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	pod, err := l.Pods.Get(ctx, apirequest.NamespaceValue(ctx), name, "")
	if err != nil {
		return nil, err
	}
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

// refused returns an error for addresses that the server does not connect to: a Pod that claims an address of the host
// or of its link would use the server's position in the network. AllowLoopback allows loopback addresses; link-local
// ones are always refused.
func (l *locator) refused(ip string) error {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return fmt.Errorf("%q is not an IP address", ip)
	}
	addr = addr.Unmap()
	switch {
	case addr.IsLoopback() && l.AllowLoopback:
		return nil
	case !addr.IsGlobalUnicast():
		return fmt.Errorf("address %s not allowed", ip)
	}
	return nil
}
