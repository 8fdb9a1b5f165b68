package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"viaduct/internal/routing"
)

// proxied compares what the proxy of this node has applied with what it should have applied.
func (r *Report) proxied(w *Snapshot) {
	if w.NoProxy != "" {
		r.note(w.NoProxy)
	}
	if w.Proxy == nil {
		return
	}
	want := routing.Frontends(w.Proxy.Node, w.Service, w.Slices)
	lines := &ProxyLines{Node: w.Proxy.Node.Name, Mode: w.Proxy.Mode}
	if !w.Proxy.Applied.IsZero() {
		lines.Applied = &w.Proxy.Applied
	}
	have := map[routing.Dest]routing.Frontend{}
	for _, f := range w.Proxy.Frontends {
		have[f.Dest()] = f
	}
	for _, f := range want {
		line := PlaceLine{Place: f.Key.String(), Inside: poolText(f.Inside), Outside: poolText(f.Outside)}
		applied, there := have[f.Dest()]
		delete(have, f.Dest())
		switch {
		case !there && len(w.Proxy.Problems) > 0:
			line.Wrong = "is not served" // the proxy's problem gives the reason
		case !there:
			line.Wrong = "is not served by the proxy"
			r.problem(StageProxy, fmt.Sprintf("The proxy of node %s does not serve %s.", lines.Node, f.Key))
		case !applied.Equal(f):
			line.Wrong = poolDifference(applied, f)
			r.problem(StageProxy, fmt.Sprintf("The proxy of node %s %s.", lines.Node, line.Wrong))
		}
		lines.Places = append(lines.Places, line)
	}
	for _, f := range w.Proxy.Frontends {
		if _, extra := have[f.Dest()]; extra {
			r.problem(StageProxy, fmt.Sprintf("The proxy of node %s still serves %s, which the Service does not have.",
				lines.Node, f.Dest()))
		}
	}
	for _, p := range w.Proxy.Problems {
		r.problem(StageProxy, fmt.Sprintf("On node %s: %s.", lines.Node, p))
	}
	for _, a := range w.Proxy.SetAside {
		lines.Aside = append(lines.Aside, AsideLine{Endpoint: a.Endpoint.String(), Cause: a.Cause, Until: a.Until})
		r.note(fmt.Sprintf("the proxy of this node sends no connections to %s for now: %s", a.Endpoint, a.Cause))
	}
	r.Proxy = lines
	r.inKernel(w)
}

// poolDifference describes how the applied frontend differs from the desired one.
func poolDifference(applied, want routing.Frontend) string {
	for _, pool := range []struct {
		from       string
		have, want routing.Pool
	}{{"this node", applied.Inside, want.Inside}, {"elsewhere", applied.Outside, want.Outside}} {
		if !pool.have.Equal(pool.want) {
			return fmt.Sprintf("sends connections from %s to %s to %s, and should to %s", pool.from, want.Key,
				orNobody(pool.have), orNobody(pool.want))
		}
	}
	return fmt.Sprintf("serves %s by other rules than it should", want.Key)
}

func orNobody(p routing.Pool) string {
	if len(p.Backends) == 0 {
		return "nobody"
	}
	return spellPlaces(addrsOf(p))
}

func spellPlaces(list []netip.AddrPort) string {
	if len(list) == 0 {
		return "nobody"
	}
	var words []string
	for _, a := range list {
		words = append(words, a.String())
	}
	return few(words)
}

// ModeKernel is the NodeState.Mode of a proxy whose connections the kernel forwards. The value is kube-proxy's name for
// this mode.
const ModeKernel = "nftables"

// inKernel compares the kernel's table with what the proxy reports as applied.
func (r *Report) inKernel(w *Snapshot) {
	if !w.KernelOK || w.Proxy.Mode != ModeKernel {
		return
	}
	have := map[routing.Dest]Place{}
	for _, p := range w.Kernel {
		have[p.Dest] = p
	}
	for _, f := range w.Proxy.Frontends {
		p, there := have[f.Dest()]
		var wrong []string
		switch inside, outside := addrsOf(f.Inside), addrsOf(f.Outside); {
		case !there:
			wrong = append(wrong, "does not know "+f.Key.String())
		case p.Broken:
			wrong = append(wrong, "lacks parts of "+f.Key.String())
		default:
			if !slices.Equal(p.Inside, inside) {
				wrong = append(wrong, fmt.Sprintf("sends connections from this node to %s to %s, and should to %s", f.Key,
					spellPlaces(p.Inside), spellPlaces(inside)))
			}
			if !slices.Equal(p.Outside, outside) {
				wrong = append(wrong, fmt.Sprintf("sends connections from elsewhere to %s to %s, and should to %s", f.Key,
					spellPlaces(p.Outside), spellPlaces(outside)))
			}
		}
		if len(wrong) > 0 {
			r.problem(StageKernel, fmt.Sprintf("The kernel's table %s: somebody changed it, and the proxy has not repaired "+
				"it. Does it run?", strings.Join(wrong, "; ")))
		}
	}
}
