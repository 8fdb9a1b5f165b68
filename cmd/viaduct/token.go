package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/apiserver/tokens"
)

func newToken(con console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the tokens by which users log in",
		Long: `Makes, lists and revokes the tokens by which users log in. A token is kept in the API, as a Secret of kube-system with a hash of it: every
server over the same store accepts it, and nobody can read it there. 'viaduct kubeconfig' makes one together with a kubeconfig.`,
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

// userOptions say who is to log in, as what, and for how long.
type userOptions struct {
	user      string
	groups    []string
	ttl       time.Duration // 0: for ever
	role      string        // empty: none is given
	namespace string        // where the role holds; empty: everywhere
}

func (o *userOptions) register(flags *pflag.FlagSet, ttl time.Duration) {
	flags.StringVar(&o.user, "user", "", "name of the user who is to log in")
	flags.StringArrayVar(&o.groups, "group", nil, "group that the user is in; may be given several times")
	flags.DurationVar(&o.ttl, "ttl", ttl, "how long the token is valid; 0: until it is deleted")
	flags.StringVar(&o.role, "role", "", "ClusterRole that the user is given, such as view, edit or admin; everywhere, "+
		"or in --namespace")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace in which the user is given --role (default: all)")
}

// check says what of a command line makes no sense, or nil.
func (o *userOptions) check() error {
	switch {
	case o.user == "":
		return fmt.Errorf("whose token? say --user NAME")
	case o.ttl < 0:
		return fmt.Errorf("--ttl %s is over already", o.ttl)
	case o.ttl > 0 && o.ttl < time.Second:
		return fmt.Errorf("--ttl %s is too short: it is counted in seconds", o.ttl)
	case o.namespace != "" && o.role == "":
		return fmt.Errorf("--namespace says where --role holds, and there is no --role")
	}
	for _, err := range tokens.CheckLogin(o.user, o.groups, nil, nil) {
		return fmt.Errorf("no token for %q: %s", err.BadValue, err.Detail)
	}
	return nil
}

func newTokenCreate(con console) *cobra.Command {
	var client clientOptions
	var o userOptions
	cmd := &cobra.Command{
		Use:   "create --user NAME",
		Short: "Make a token, and print it",
		Long: `Makes a token by which somebody logs in, and prints it: this is the only time that it can be seen. With --role, the user is also given
the rights of a ClusterRole; that is a binding in the API, which stays when the token ends.`,
		Example: `  viaduct token create --user alice --role view
  viaduct token create --user ci --group builders --role edit -n staging --ttl 1h
  curl --cacert ca.crt -H "Authorization: Bearer $(viaduct token create --user probe)" https://127.0.0.1:7443/api`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			api, err := client.client("viaduct-token")
			if err != nil {
				return err
			}
			made, err := o.grant(cmd.Context(), api)
			if err != nil {
				return err
			}
			fmt.Fprintln(con.Err, made.describe())
			o.warnOfNoRole(con.Err)
			_, err = fmt.Fprintln(con.Out, made.text)
			return err
		},
	}
	client.register(cmd)
	o.register(cmd.Flags(), 24*time.Hour)
	return cmd
}

func newTokenList() *cobra.Command {
	var client clientOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens: whose they are, and until when",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := client.client("viaduct-token")
			if err != nil {
				return err
			}
			list, err := api.CoreV1().Secrets(tokens.SecretNamespace).List(cmd.Context(), metav1.ListOptions{
				FieldSelector: fields.OneTermEqualSelector("type", string(tokens.SecretType)).String(),
			})
			if err != nil {
				return fmt.Errorf("listing the tokens: %w", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), tokenTable(list.Items, time.Now()))
			return err
		},
	}
	client.register(cmd)
	return cmd
}

// tokenTable is what `viaduct token list` prints: the oldest token first.
func tokenTable(secrets []corev1.Secret, now time.Time) string {
	if len(secrets) == 0 {
		return "There are no tokens.\n"
	}
	slices.SortStableFunc(secrets,
		func(a, b corev1.Secret) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tUSER\tGROUPS\tAGE\tEXPIRES")
	for i := range secrets {
		g, errs := tokens.Parse(&secrets[i])
		groups := strings.Join(g.Groups, ",")
		if groups == "" {
			groups = "<none>"
		}
		end := "never"
		switch {
		case len(errs) > 0:
			end = "invalid: " + errs.ToAggregate().Error()
		case g.Expired(now):
			end = "expired"
		case !g.Expires.IsZero():
			end = "in " + duration.HumanDuration(g.Expires.Sub(now))
		}
		age := duration.HumanDuration(now.Sub(secrets[i].CreationTimestamp.Time))
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", g.ID, g.User, groups, age, end)
	}
	w.Flush() // into memory
	return out.String()
}

func newTokenDelete() *cobra.Command {
	var client clientOptions
	cmd := &cobra.Command{
		Use:   "delete ID...",
		Short: "Revoke tokens: nobody logs in by them any more",
		Long: `Revokes tokens, at once and for good. 'viaduct token list' tells the ID of each; it is what the token begins with.
The role that the user was given stays: it is in a binding, which kubectl deletes.`,
		Example: `  viaduct token delete abcdefghij`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{cmd.CommandPath(), fmt.Errorf("which token? 'viaduct token list' tells their IDs")}
			}
			for _, id := range args {
				if id, _, _ = strings.Cut(id, "."); !tokens.IsID(id) {
					return usageError{cmd.CommandPath(), fmt.Errorf("%q is not the ID of a token: that is ten letters and digits", id)}
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := client.client("viaduct-token")
			if err != nil {
				return err
			}
			for _, arg := range args {
				id, _, _ := strings.Cut(arg, ".") // somebody may have the whole token at hand, and no list
				if err := deleteToken(cmd, api, id); err != nil {
					return err
				}
			}
			return nil
		},
	}
	client.register(cmd)
	return cmd
}

func deleteToken(cmd *cobra.Command, api kubernetes.Interface, id string) error {
	err := api.CoreV1().Secrets(tokens.SecretNamespace).Delete(cmd.Context(), tokens.SecretName(id),
		metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no token %s", id)
	}
	if err != nil {
		return fmt.Errorf("deleting token %s: %w", id, err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "token %s deleted\n", id)
	return err
}
