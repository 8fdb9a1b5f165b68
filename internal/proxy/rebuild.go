package proxy

import (
	"maps"
	"slices"

	"viaduct/internal/table"
)

// rebuild makes p.want equal to what is watched, and adds what differs to p.pending. It returns the Services it looked at
// and found different, among them those whose only difference is a lost address.
func (p *Proxy) rebuild() []table.Name {
	dirty, all := p.watch.take()
	if node := p.watch.node(p.opts.NodeName, p.opts.NodePorts); all && !sameNode(node, p.node) {
		p.node = node
		p.markKnown(dirty)
	}
	var entries []table.Entry
	var names []table.Name
	for _, name := range sortedNames(dirty) {
		next := p.watch.entry(p.node, name)
		if have, _ := p.want.Entry(name); !have.Equal(next) {
			entries, names = append(entries, next), append(names, name)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	want, changed := p.want.With(entries...)
	p.want = want
	for _, name := range changed {
		p.pending[name] = true
	}
	return names
}

// markKnown adds every Service there is, and every one that was.
func (p *Proxy) markKnown(dirty map[table.Name]bool) {
	for _, name := range append(p.watch.names(), p.want.Services()...) {
		dirty[name] = true
	}
}

func sameNode(a, b table.Node) bool {
	return a.Name == b.Name && a.Zone == b.Zone && slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.NodePorts, b.NodePorts)
}

func sortedNames(set map[table.Name]bool) []table.Name {
	return slices.SortedFunc(maps.Keys(set), table.Name.Compare)
}
