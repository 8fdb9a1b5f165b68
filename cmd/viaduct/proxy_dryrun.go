package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/takeover"
	"viaduct/internal/routing"
)

// previewTime bounds how long a dry run waits for the API to tell its Services.
const previewTime = time.Minute

// dryRun tells what a proxy with these options would change.
func dryRun(ctx context.Context, out io.Writer, api kubernetes.Interface, o proxyOptions, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	p := proxy.New(api, proxy.Options{NodeName: o.nodeName, Backend: newDataPath(o, log), NodePorts: o.nodePorts,
		Log: log})
	t, err := p.Preview(ctx)
	if err != nil {
		return fmt.Errorf("reading the Services: %w", err)
	}
	fmt.Fprintln(out, "This is a dry run: nothing is changed.")
	if err := tellTable(out, t); err != nil {
		return err
	}
	return tellKubeProxy(ctx, out, o.takeOver.takeOver)
}

// tellTable says what the kernel would carry, and how that differs from what it carries.
func tellTable(out io.Writer, t *routing.Table) error {
	have, err := nft.Describe()
	if err != nil {
		return needsRoot(err)
	}
	services, without := 0, 0
	for _, name := range t.Services() {
		if len(t.Of(name)) > 0 {
			services++
		}
	}
	all := t.All()
	for _, f := range all {
		if len(f.Inside.Backends) == 0 && len(f.Outside.Backends) == 0 {
			without++
		}
	}
	tables := "would be made"
	if len(have.Tables) > 0 {
		tables = strings.Join(have.Tables, ", ") + " (there already)"
	}
	d := difference(all, have.Places)
	_, err = fmt.Fprintf(out, `
What the kernel would carry for Viaduct:
  tables               %s
  Services             %d
  addresses and ports  %d, of which %d would be new, %d get other endpoints, and %d that are there would go
  without endpoints    %d
`, tables, services, len(all), d.added, d.moved, d.removed, without)
	return err
}

// changes counts places that clients connect to.
type changes struct{ added, moved, removed int }

// difference says what has to change for the kernel, which has these places, to carry all.
func difference(all []routing.Frontend, places []nft.Place) (c changes) {
	have := make(map[routing.Dest]nft.Place, len(places))
	for _, p := range places {
		have[p.Dest] = p
	}
	for _, f := range all {
		p, there := have[f.Dest()]
		delete(have, f.Dest())
		outside := p.Inside
		if p.Outside != nil {
			outside = *p.Outside
		}
		switch {
		case !there:
			c.added++
		case !leads(p.Inside, f.Inside) || !leads(outside, f.Outside):
			c.moved++
		}
	}
	c.removed = len(have)
	return c
}

// leads reports whether connections go to who is in the pool, and to nobody else.
func leads(w nft.Way, to routing.Pool) bool {
	if len(to.Backends) == 0 {
		return w.Action == to.Empty && len(w.Slots) == 0
	}
	missing := make(map[netip.AddrPort]bool, len(to.Backends))
	for _, b := range to.Backends {
		missing[b.Addr] = true
	}
	known := len(missing)
	seen := map[netip.AddrPort]bool{}
	for _, s := range w.Slots {
		seen[s] = true
		delete(missing, s)
	}
	return len(missing) == 0 && len(seen) == known && w.Holes == 0
}

// tellKubeProxy says what there is of kube-proxy, and what would become of it.
func tellKubeProxy(ctx context.Context, out io.Writer, wanted bool) error {
	pids, err := takeover.Running()
	if err != nil {
		return err
	}
	found, err := takeover.Find(ctx)
	if err != nil {
		return needsRoot(err)
	}
	lines := found.Lines()
	switch {
	case len(lines) == 0:
		fmt.Fprintln(out, "\nkube-proxy has left nothing on this host that could be removed.")
	case wanted:
		fmt.Fprintln(out, "\nWhat kube-proxy left, and what would be removed once those connections are carried:")
	default:
		fmt.Fprintln(out, "\nWhat kube-proxy left, and what would stay (--take-over would remove it):")
	}
	for _, line := range lines {
		fmt.Fprintln(out, "  "+line)
	}
	tellNotes(out, found.Notes)
	if len(pids) > 0 {
		fmt.Fprintln(out, "note:", takeover.StillRuns(pids))
	}
	return nil
}
