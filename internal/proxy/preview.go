package proxy

import (
	"context"

	"viaduct/internal/routing"
)

// Preview is the table that a Backend would be given now. Nothing is applied, and nothing is told the API. It ends with
// an error when ctx does before all Services and EndpointSlices are known. A Proxy that is asked for it is not to be
// Run.
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
