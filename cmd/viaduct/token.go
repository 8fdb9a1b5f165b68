package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viaduct/internal/apiserver/tokens"
	"viaduct/internal/credentials"
)

func newToken(con console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list and delete the tokens of users",
		Long: `Creates, lists and deletes the tokens with which users log in. A token is stored in the API as a
Secret of namespace kube-system. The Secret contains a hash, so the token cannot be read from it.
Every server over the same store accepts the token. 'viaduct kubeconfig' creates a token together
with a kubeconfig.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newTokenCreate(con), newTokenList(), newTokenDelete())
	return cmd
}

// registerRequest registers the flags of a token.
func registerRequest(flags *pflag.FlagSet, r *credentials.Request, ttl time.Duration) {
	flags.StringVar(&r.User, "user", "", "name of the user")
	flags.StringArrayVar(&r.Groups, "group", nil, "group of the user; may be repeated")
	flags.DurationVar(&r.TTL, "ttl", ttl, "how long the token is valid; 0 means until it is deleted")
	flags.StringVar(&r.Role, "role", "", "ClusterRole to bind the user to, such as view, edit or admin")
	flags.StringVarP(&r.Namespace, "namespace", "n", "", "namespace to limit --role to (default: all namespaces)")
}

// warnWithoutRole warns that a user without a role can do little.
func warnWithoutRole(w io.Writer, r credentials.Request) {
	if r.Role == "" {
		fmt.Fprintf(w, "no --role was given: %s has only the rights of other bindings (kubectl auth can-i --list --as "+
			"%[1]s)\n",
			r.User)
	}
}

func newTokenCreate(con console) *cobra.Command {
	var client clientOptions
	var r credentials.Request
	cmd := &cobra.Command{
		Use:   "create --user NAME",
		Short: "Create a token and print it",
		Long: `Creates a token for a user and prints it. It cannot be printed again. With --role, the command also
binds the user to a ClusterRole. The binding stays when the token ends.`,
		Example: `  viaduct token create --user alice --role view
  viaduct token create --user ci --group builders --role edit -n staging --ttl 1h
  curl --cacert ca.crt -H "Authorization: Bearer $(viaduct token create --user probe)" https://127.0.0.1:7443/api`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.Check(); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			api, err := client.client("viaduct-token")
			if err != nil {
				return err
			}
			issued, err := credentials.Issue(cmd.Context(), api, r)
			if err != nil {
				return err
			}
			fmt.Fprintln(con.Err, issued)
			warnWithoutRole(con.Err, r)
			_, err = fmt.Fprintln(con.Out, issued.Text)
			return err
		},
	}
	client.register(cmd)
	registerRequest(cmd.Flags(), &r, 24*time.Hour)
	return cmd
}

func newTokenList() *cobra.Command {
	var client clientOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens with their users and expiry",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := client.client("viaduct-token")
			if err != nil {
				return err
			}
			table, err := credentials.List(cmd.Context(), api)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), table)
			return err
		},
	}
	client.register(cmd)
	return cmd
}

func newTokenDelete() *cobra.Command {
	var client clientOptions
	cmd := &cobra.Command{
		Use:   "delete ID...",
		Short: "Delete tokens, so that they are no longer accepted",
		Long: `Deletes tokens, with immediate effect. 'viaduct token list' prints their IDs; a token also begins
with its ID. The role binding of the user stays, and kubectl can delete it.`,
		Example: `  viaduct token delete abcdefghij`,
		Args:    tokenArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := client.client("viaduct-token")
			if err != nil {
				return err
			}
			for _, arg := range args {
				id := tokenID(arg)
				if err := credentials.Revoke(cmd.Context(), api, id); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "token %s deleted\n", id)
			}
			return nil
		},
	}
	client.register(cmd)
	return cmd
}

// tokenID returns the ID in an argument, which may be a complete token.
func tokenID(arg string) string {
	id, _, _ := strings.Cut(arg, ".")
	return id
}

func tokenArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{cmd.CommandPath(), errors.New("want the ID of a token; 'viaduct token list' prints the IDs")}
	}
	for _, arg := range args {
		if id := tokenID(arg); !tokens.IsID(id) {
			return usageError{cmd.CommandPath(), fmt.Errorf("%q is not the ID of a token: an ID has ten letters and digits", id)}
		}
	}
	return nil
}
