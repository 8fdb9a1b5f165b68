package proxy

import (
	"maps"
	"slices"

	"viaduct/internal/routing"
)

// rebuild makes p.want equal to the watched objects. It adds the Services whose traffic differs to p.pending. It adds
// all Services that it looked at to p.review, because they may have lost an address to another Service.
func (p *Proxy) rebuild() {
	dirty, all := p.watch.take()
	if all {
		p.lookAtNode(dirty)
	}
	for name := range p.unheard {
		dirty[name] = true
	}
	var entries []routing.Entry
	for name := range dirty {
		p.checkHealth(name)
		next := p.watch.entry(p.node, name)
		if have, _ := p.want.Entry(name); !have.Equal(next) {
			entries = append(entries, next)
		}
		p.review[name] = true
	}
	if len(entries) == 0 {
		return
	}
	want, names := p.want.With(entries...)
	p.want = want
	for _, name := range names {
		p.pending[name] = changed
	}
}

// checkHealth starts, updates or closes the server of the Service's health check.
func (p *Proxy) checkHealth(name routing.Name) {
	err := p.checks.apply(name, p.watch.healthCheck(p.node, name), p.node.NodePorts)
	if err == nil {
		delete(p.unheard, name)
		return
	}
	p.unheard[name] = problem{HealthCheckNotServed, err.Error() + "; load balancers will send this node no " +
		"connections; it is tried again"}
	p.review[name] = true
}

// lookAtNode reads the Node again. If it differs, all Services become dirty, because each of them may be served in
// another way.
func (p *Proxy) lookAtNode(dirty map[routing.Name]bool) {
	node, pods := p.watch.node(p.opts.NodeName, p.opts.NodePorts)
	if b, ok := p.opts.Backend.(PodAware); ok && !slices.Equal(pods, p.pods) {
		b.SetPods(pods)
		p.pods, p.doubt = pods, true
	}
	if !sameNode(node, p.node) {
		p.node = node
		p.markKnown(dirty)
	}
}

// markKnown adds every watched Service and every Service of p.want.
func (p *Proxy) markKnown(dirty map[routing.Name]bool) {
	for _, name := range append(p.watch.names(), p.want.Services()...) {
		dirty[name] = true
	}
}

func sameNode(a, b routing.Node) bool {
	return a.Name == b.Name && a.Zone == b.Zone && slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.NodePorts, b.NodePorts)
}

func sortedNames[V any](set map[routing.Name]V) []routing.Name {
	return slices.SortedFunc(maps.Keys(set), routing.Name.Compare)
}
