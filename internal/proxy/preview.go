package proxy

import (
	"context"

	"viaduct/internal/routing"
)

// Preview returns the table that a Backend would get now. It applies nothing and writes nothing to the API. It returns
// an error if ctx ends before all Services and EndpointSlices are known. A Proxy must not get both a Preview and a Run.
func (p *Proxy) Preview(ctx context.Context) (*routing.Table, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.watch.start(ctx)()
	if err := p.watch.wait(ctx); err != nil {
		return nil, err
	}
	node, _ := p.watch.node(p.opts.NodeName, p.opts.NodePorts)
	var entries []routing.Entry
	for _, name := range p.watch.names() {
		entries = append(entries, p.watch.entry(node, name))
	}
	t, _ := (&routing.Table{}).With(entries...)
	return t, nil
}
