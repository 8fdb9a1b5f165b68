package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"viaduct/internal/node/network"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/takeover"
)

func newProxyCleanup(con console) *cobra.Command {
	var force, kubeProxy bool
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove Viaduct's or kube-proxy's rules from this host's kernel",
		Long: `Removes Viaduct's nftables tables and the bridge of its Pods, for use after the last 'viaduct proxy'
or 'viaduct up' on this host. Connections through a Service end, unless another proxy carries them.

With --kube-proxy, removes the rules that kube-proxy left in any of its modes, and nothing of
Viaduct's.

The command refuses while the owner of the rules runs. It needs root.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kubeProxy {
				return cleanUpKubeProxy(cmd.Context(), con.Out, force)
			}
			return cleanUp(con.Out, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also remove the rules while their owner runs, which may make them again")
	cmd.Flags().BoolVar(&kubeProxy, "kube-proxy", false, "remove kube-proxy's rules instead of Viaduct's")
	return cmd
}

// cleanUp removes what Viaduct made. If the Services' rules cannot be removed, the Pods' network stays too.
func cleanUp(out io.Writer, force bool) error {
	removed, err := nft.Remove(force)
	if err == nil {
		var more []string
		more, err = network.Remove(force)
		removed = append(removed, more...)
	}
	printRemoved(out, removed)
	switch {
	case errors.Is(err, nft.ErrHeld) || errors.Is(err, network.ErrHeld):
		return fmt.Errorf("%w: stop it first, or use --force", err)
	case err == nil && len(removed) == 0:
		fmt.Fprintln(out, "Viaduct has nothing on this host.")
	}
	return needsRoot(err)
}

// needsRoot replaces an error of missing privilege with one that describes the remedy.
func needsRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return errors.New("this user may not read the kernel's rules: run the command as root (CAP_NET_ADMIN)")
	}
	return err
}

func cleanUpKubeProxy(ctx context.Context, out io.Writer, force bool) error {
	pids, err := takeover.Running()
	if err != nil {
		return err
	}
	if len(pids) > 0 && !force {
		return fmt.Errorf("%s, or use --force", takeover.StillRuns(pids))
	}
	found, err := takeover.Find(ctx)
	if err != nil {
		return needsRoot(err)
	}
	removed, err := found.Remove(ctx)
	printRemoved(out, removed)
	for _, note := range found.Notes {
		fmt.Fprintln(out, "note:", note)
	}
	if err == nil && len(removed) == 0 {
		fmt.Fprintln(out, "kube-proxy has left nothing on this host that can be removed.")
	}
	return err
}

func printRemoved(out io.Writer, removed []string) {
	for _, line := range removed {
		fmt.Fprintln(out, "removed", line)
	}
}
