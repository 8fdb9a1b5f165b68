package datapath

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/takeover"
	"viaduct/internal/routing"
)

// DryRun prints how the kernel's tables would change for t, and what kube-proxy left on this host. takeOver says
// whether that would be removed. Errors of the kernel are returned as they are; without privilege they match
// fs.ErrPermission.
func DryRun(ctx context.Context, out io.Writer, t *routing.Table, takeOver bool) error {
	fmt.Fprintln(out, "This is a dry run: nothing is changed.")
	if err := printTable(out, t); err != nil {
		return err
	}
	return printKubeProxy(ctx, out, takeOver)
}

func printTable(out io.Writer, t *routing.Table) error {
	have, err := nft.Describe()
	if err != nil {
		return err
	}
	services, empty := 0, 0
	for _, name := range t.Services() {
		if len(t.Of(name)) > 0 {
			services++
		}
	}
	all := t.All()
	for _, f := range all {
		if len(f.Inside.Backends) == 0 && len(f.Outside.Backends) == 0 {
			empty++
		}
	}
	tables := "would be made"
	if len(have.Tables) > 0 {
		tables = strings.Join(have.Tables, ", ") + " (exist already)"
	}
	d := compare(all, have.Places)
	_, err = fmt.Fprintf(out, `
What the kernel would carry for Viaduct:
  tables               %s
  Services             %d
  addresses and ports  %d, of which %d would be new and %d would get other endpoints; %d existing ones would go
  without endpoints    %d
`, tables, services, len(all), d.added, d.changed, d.removed, empty)
	return err
}

// A difference counts frontends.
type difference struct{ added, changed, removed int }

// compare returns what has to change in a kernel with these places so that it carries all.
func compare(all []routing.Frontend, places []nft.Place) (d difference) {
	have := make(map[routing.Dest]nft.Place, len(places))
	for _, p := range places {
		have[p.Dest] = p
	}
	for _, f := range all {
		p, found := have[f.Dest()]
		delete(have, f.Dest())
		outside := p.Inside
		if p.Outside != nil {
			outside = *p.Outside
		}
		switch {
		case !found:
			d.added++
		case !serves(p.Inside, f.Inside) || !serves(outside, f.Outside):
			d.changed++
		}
	}
	d.removed = len(have)
	return d
}

// serves reports whether w leads to exactly the endpoints of the pool.
func serves(w nft.Way, pool routing.Pool) bool {
	if len(pool.Backends) == 0 {
		return w.Action == pool.Empty && len(w.Slots) == 0
	}
	missing := make(map[netip.AddrPort]bool, len(pool.Backends))
	for _, b := range pool.Backends {
		missing[b.Addr] = true
	}
	wanted := len(missing)
	found := map[netip.AddrPort]bool{}
	for _, s := range w.Slots {
		found[s] = true
		delete(missing, s)
	}
	return len(missing) == 0 && len(found) == wanted && w.Holes == 0
}

func printKubeProxy(ctx context.Context, out io.Writer, takeOver bool) error {
	pids, err := takeover.Running()
	if err != nil {
		return err
	}
	found, err := takeover.Find(ctx)
	if err != nil {
		return err
	}
	lines := found.Lines()
	switch {
	case len(lines) == 0:
		fmt.Fprintln(out, "\nkube-proxy has left nothing on this host that could be removed.")
	case takeOver:
		fmt.Fprintln(out, "\nWhat kube-proxy left, and what would be removed once Viaduct carries those connections:")
	default:
		fmt.Fprintln(out, "\nWhat kube-proxy left, and what would stay (--take-over would remove it):")
	}
	for _, line := range lines {
		fmt.Fprintln(out, "  "+line)
	}
	for _, note := range found.Notes {
		fmt.Fprintln(out, "note:", note)
	}
	if len(pids) > 0 {
		fmt.Fprintln(out, "note:", takeover.StillRuns(pids))
	}
	return nil
}
