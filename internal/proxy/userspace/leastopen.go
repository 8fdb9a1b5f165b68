package userspace

import (
	"sync"

	"viaduct/internal/routing"
)

// openCounts are the meters with the open connections, for a Frontend with the policy LeastConnections. The zero value
// is for the other policies.
type openCounts struct {
	picking         *sync.Mutex // held while the counts are read and the picked endpoint is counted; nil: not needed
	inside, outside []*meter    // of the backends of the two pools, in their order
}

// countsFor returns the openCounts of f.
func (t *tallies) countsFor(f *routing.Frontend) openCounts {
	if f.Policy != routing.LeastConnections {
		return openCounts{}
	}
	return openCounts{picking: &sync.Mutex{}, inside: t.ofPool(f.Service, f.Inside),
		outside: t.ofPool(f.Service, f.Outside)}
}

func (t *tallies) ofPool(service routing.Name, p routing.Pool) []*meter {
	list := make([]*meter, len(p.Backends))
	for i, b := range p.Backends {
		list[i] = t.of(service, b.Addr)
	}
	return list
}

// of is the OpenCount of the pool for connections from from.
func (o openCounts) of(from routing.Origin) routing.OpenCount {
	list := o.inside
	if from.Outside {
		list = o.outside
	}
	return func(i int) int64 { return list[i].open.Load() }
}
