package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// A usageError is a wrong command line, such as an unknown flag or a value out of range.
type usageError struct {
	command string // the command whose help describes the flags
	err     error
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// newRoot builds the command tree. It starts nothing.
func newRoot(con console) *cobra.Command {
	logs := &logOptions{}
	root := &cobra.Command{
		Use:   "viaduct",
		Short: "Kubernetes Services without a cluster",
		Long: `Viaduct gives a Linux host Kubernetes Services: an API server for kubectl, controllers that keep
Endpoints in line with the Pods of each Service, a proxy that makes connections reach the Pods, and
an agent that runs them.

  viaduct demo        show what a Service is, in a temporary directory, as any user
  viaduct up          run everything
  viaduct kubectl     the real kubectl, for the API of 'viaduct up'`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SuggestionsMinimumDistance = 2 // number of different letters
	root.SetIn(con.In)
	root.SetOut(con.Out)
	root.SetErr(con.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{cmd.CommandPath(), err} })
	logs.register(root.PersistentFlags())
	root.AddGroup(&cobra.Group{ID: "whole", Title: "All components in one process:"}, &cobra.Group{ID: "parts",
		Title: "One component:"},
		&cobra.Group{ID: "tools", Title: "Tools:"})
	addGroup(root, "whole", newUp(con, logs), newDemo(con, logs))
	addGroup(root, "parts", newServer(con, logs), newController(con, logs), newProxy(con, logs), newAgent(con, logs))
	addGroup(root, "tools", newExplain(con), newTrace(con), newHistory(con), newKubectl(con), newKubeconfig(con),
		newToken(con), newNFT(con), newBackup(con, logs), newRestore(con, logs), newEcho(con), newVersion())
	return root
}

func addGroup(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = id
		root.AddCommand(c)
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := ""
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
	}
	return usageError{cmd.CommandPath(), fmt.Errorf("unknown command %q%s", name, hint)}
}

// noArgs returns a usage error for positional arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{cmd.CommandPath(), fmt.Errorf("unexpected argument %q: %s takes only flags", args[0],
		cmd.CommandPath())}
}
