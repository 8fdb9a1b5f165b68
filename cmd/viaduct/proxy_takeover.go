package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/spf13/pflag"

	"viaduct/internal/proxy/takeover"
	"viaduct/internal/routing"
	"viaduct/internal/supervisor"
)

// takeOverOptions say what becomes of kube-proxy's rules.
type takeOverOptions struct {
	takeOver bool
	dryRun   bool
}

func (o *takeOverOptions) register(flags *pflag.FlagSet) {
	flags.BoolVar(&o.takeOver, "take-over", false,
		"once the kernel carries the connections for Viaduct and no kube-proxy runs on this host any more, remove what "+
			"kube-proxy left: its rules of nftables, iptables and IPVS")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would change on this host, change nothing, and end")
}

// check refuses what makes no sense together.
func (o takeOverOptions) check(mode string) error {
	if o.takeOver && mode == proxyUserspace {
		return fmt.Errorf("--take-over needs the kernel to carry connections; with --proxy=userspace kube-proxy's rules " +
			"would be missed")
	}
	return nil
}

// part makes the part that takes over, if it is wanted, and what has to be called after each application.
func (o takeOverOptions) part(path *dataPath, log *slog.Logger) (parts []supervisor.Component, applied func([]routing.Name)) {
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
	applied = func([]routing.Name) {
		if path.whole { // else a Service would have nobody
			once()
		}
	}
	return []supervisor.Component{{Name: "take-over", Run: run}}, applied
}
