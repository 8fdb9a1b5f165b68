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
		Short: "Remove from this host what Viaduct made in its kernel, or what kube-proxy left",
		Long: `Removes Viaduct's nftables tables and the bridge of its Pods, as after the last 'viaduct proxy' or 'viaduct up' on this host. Connections
that go by a Service end, unless somebody else carries them. With --kube-proxy it removes what kube-proxy left instead, in
whatever mode it ran, and nothing of Viaduct's. Either refuses while the owner of the rules runs. It needs root.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kubeProxy {
				return cleanUpKubeProxy(cmd.Context(), con, force)
			}
			return cleanUp(con.Out, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also while the owner of the rules runs, which may put them back")
	cmd.Flags().BoolVar(&kubeProxy, "kube-proxy", false, "remove what kube-proxy left, and nothing else")
	return cmd
}

// cleanUp removes what Viaduct made. The Pods' network is left alone when the Services' rules have to stay.
func cleanUp(out io.Writer, force bool) error {
	removed, err := nft.Remove(force)
	if err == nil {
		var more []string
		more, err = network.Remove(force)
		removed = append(removed, more...)
	}
	tellRemoved(out, removed)
	switch {
	case errors.Is(err, nft.ErrHeld) || errors.Is(err, network.ErrHeld):
		return fmt.Errorf("%w: end it first, or use --force", err)
	case err == nil && len(removed) == 0:
		fmt.Fprintln(out, "Viaduct has nothing on this host.")
	}
	return needsRoot(err)
}

// needsRoot says what an error of the kernel about privilege means.
func needsRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return errors.New("the kernel does not let this user look at its rules: this needs root (CAP_NET_ADMIN)")
	}
	return err
}

func cleanUpKubeProxy(ctx context.Context, con console, force bool) error {
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
	tellRemoved(con.Out, removed)
	tellNotes(con.Out, found.Notes)
	if err == nil && len(removed) == 0 {
		fmt.Fprintln(con.Out, "kube-proxy has left nothing on this host that can be removed.")
	}
	return err
}

func tellRemoved(out io.Writer, removed []string) {
	for _, line := range removed {
		fmt.Fprintln(out, "removed", line)
	}
}

func tellNotes(out io.Writer, notes []string) {
	for _, line := range notes {
		fmt.Fprintln(out, "note:", line)
	}
}
