package collect

import (
	"context"
	"net/netip"
	"time"

	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/proxy"
	"viaduct/internal/routing"
)

// Trace reads every Service and returns what a proxy of the node would do with a connection. An invalid from stands for
// the node itself.
func (c *Collector) Trace(ctx context.Context, from netip.Addr, to netip.AddrPort, proto routing.Proto,
	nodeName string) (proxy.Trace, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	services, err := c.API.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return proxy.Trace{}, err
	}
	list, err := c.API.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return proxy.Trace{}, err
	}
	node, pods := routing.Node{Name: nodeName}, []netip.Prefix(nil)
	if n, err := c.API.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{}); err == nil {
		node, pods = proxy.NodeOf(n, proxy.NodePorts{})
	}
	slicesOf := map[routing.Name][]*discovery.EndpointSlice{}
	for _, s := range pointers(list.Items) {
		name := routing.Name{Namespace: s.Namespace, Name: s.Labels[discovery.LabelServiceName]}
		slicesOf[name] = append(slicesOf[name], s)
	}
	var entries []routing.Entry
	for _, svc := range pointers(services.Items) {
		name := routing.Name{Namespace: svc.Namespace, Name: svc.Name}
		entries = append(entries, routing.Entry{Service: name, Created: svc.CreationTimestamp.Time,
			Frontends: routing.Frontends(node, svc, slicesOf[name])})
	}
	all, _ := (&routing.Table{}).With(entries...)
	origin := routing.Origin{Addr: from, Outside: proxy.Outside(from, node, pods)}
	return proxy.TraceIn(all, origin, to, proto, time.Now()), nil
}
