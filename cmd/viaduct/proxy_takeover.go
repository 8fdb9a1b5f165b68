package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/takeover"
	"viaduct/internal/table"
)

// takeOverOptions say what becomes of kube-proxy's rules.
type takeOverOptions struct {
	takeOver bool
	dryRun   bool
}

func (o *takeOverOptions) register(flags *pflag.FlagSet) {
	flags.BoolVar(&o.takeOver, "take-over", false,
		"once the kernel carries the connections for Viaduct and no kube-proxy runs on this host any more, remove what kube-proxy left: its rules of nftables, iptables and IPVS")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would change on this host, change nothing, and end")
}

// check refuses what makes no sense together.
func (o takeOverOptions) check(mode string) error {
	if o.takeOver && mode == proxyUserspace {
		return fmt.Errorf("--take-over needs the kernel to carry connections; with --proxy=userspace kube-proxy's rules would be missed")
	}
	return nil
}

// part makes the part that takes over, if it is wanted, and what has to be called after each application.
func (o takeOverOptions) part(path *dataPath, log *slog.Logger) (parts []part, applied func([]table.Name)) {
	if !o.takeOver {
		return nil, nil
	}
	live := make(chan struct{})
	once := sync.OnceFunc(func() { close(live) })
	run := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-live:
		}
		if path.Mode() == proxyUserspace {
			return errors.New("kube-proxy's rules stay: connections are carried by this process, not by the kernel")
		}
		takeover.Finish(ctx, log)
		<-ctx.Done()
		return nil
	}
	applied = func([]table.Name) {
		if path.whole { // else a Service would have nobody
			once()
		}
	}
	return []part{{name: "take-over", run: run}}, applied
}

// previewTime bounds how long a dry run waits for the API to tell its Services.
const previewTime = time.Minute

// dryRun tells what a proxy with these options would change.
func dryRun(ctx context.Context, out io.Writer, api kubernetes.Interface, o proxyOptions, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	p := proxy.New(api, proxy.Options{NodeName: o.nodeName, Backend: newDataPath(o, log), NodePorts: o.nodePorts, Log: log})
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

// tellTable says what the kernel would carry, and what there is of it.
func tellTable(out io.Writer, t *table.Table) error {
	there, err := nft.Describe()
	if err != nil {
		return needsRoot(err)
	}
	services, destinations, without := 0, 0, 0
	for _, name := range t.Services() {
		frontends := t.Of(name)
		if len(frontends) > 0 {
			services++
		}
		for _, f := range frontends {
			destinations++
			if len(f.Inside.Backends) == 0 && len(f.Outside.Backends) == 0 {
				without++
			}
		}
	}
	tables := "not there yet"
	if len(there.Tables) > 0 {
		tables = strings.Join(there.Tables, ", ") + " (there already)"
	}
	_, err = fmt.Fprintf(out, "\nWhat the kernel would carry for Viaduct:\n  tables               %s\n  Services             %d\n  addresses and ports  %d\n  without endpoints    %d\n",
		tables, services, destinations, without)
	return err
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
