package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	"k8s.io/klog/v2"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"viaduct/internal/datadir"
)

func newKubectl(con console) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [--data-dir DIR] COMMAND...",
		Short: "Run kubectl with the kubeconfig of the data directory",
		Long: `Runs kubectl. It connects to the server of the data directory, unless --kubeconfig or $KUBECONFIG names another
one. The data directory is set by a leading --data-dir or by $` + datadir.Env + `.`,
		DisableFlagParsing: true, // every flag is kubectl's, except a leading --data-dir
		RunE: func(cmd *cobra.Command, args []string) error {
			dataDir, args, err := cutDataDir(args)
			if err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			if dataDir == "" {
				dataDir = datadir.Default(os.Getenv, os.Geteuid())
			}
			return runKubectl(con, dataDir, args)
		},
	}
}

// cutDataDir takes --data-dir DIR from the front of kubectl's arguments.
func cutDataDir(args []string) (dir string, rest []string, err error) {
	if len(args) == 0 {
		return "", args, nil
	}
	if dir, ok := strings.CutPrefix(args[0], "--data-dir="); ok {
		return dir, args[1:], nil
	}
	if args[0] != "--data-dir" {
		return "", args, nil
	}
	if len(args) == 1 {
		return "", nil, fmt.Errorf("flag needs an argument: --data-dir")
	}
	return args[1], args[2:], nil
}

// runKubectl runs kubectl as its main function does. Most errors of kubectl exit the process.
func runKubectl(con console, dataDir string, args []string) error {
	if err := claimKubernetesVersion(); err != nil {
		return err
	}
	if err := pointKubectl(dataDir, args, con.Err); err != nil {
		return err
	}
	root := kubectl.NewDefaultKubectlCommandWithArgs(kubectl.KubectlOptions{
		PluginHandler: kubectl.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     append([]string{"kubectl"}, args...),
		IOStreams:     genericiooptions.IOStreams{In: con.In, Out: con.Out, ErrOut: con.Err},
	})
	if root.Annotations == nil {
		root.Annotations = map[string]string{}
	}
	root.Annotations[cobra.CommandDisplayNameAnnotation] = "viaduct kubectl"
	root.SetArgs(args)
	if err := cli.RunNoErrOutput(root); err != nil {
		cmdutil.CheckErr(err)
	}
	return nil
}

// pointKubectl makes dataDir's server the default. kubectl reads these variables itself, so a --kubeconfig among args
// wins.
func pointKubectl(dataDir string, args []string, errOut io.Writer) error {
	if os.Getenv("KUBECONFIG") != "" || hasFlag(args, "--kubeconfig") {
		return nil
	}
	path := datadir.Kubeconfig(dataDir)
	if err := os.Setenv("KUBECONFIG", path); err != nil {
		return fmt.Errorf("setting KUBECONFIG: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // client-go would log five times that port 8080 refuses connections
		cmdutil.BehaviorOnFatal(func(msg string, code int) {
			fmt.Fprintf(errOut, "%s\nviaduct: %s does not exist: is 'viaduct up' running with this data directory?\n",
				strings.TrimSpace(msg), path)
			os.Exit(code)
		})
		return nil
	}
	if os.Getenv("KUBECACHEDIR") == "" {
		return os.Setenv("KUBECACHEDIR", datadir.KubectlCache(dataDir))
	}
	return nil
}

// hasFlag reports whether args contain the flag before a "--".
func hasFlag(args []string, flag string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}
