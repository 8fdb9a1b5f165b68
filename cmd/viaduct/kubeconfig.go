package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"viaduct/internal/credentials"
)

// kubeconfigTTL is how long the token of a kubeconfig is valid by default: as long as the administrator's certificate.
const kubeconfigTTL = 365 * 24 * time.Hour

type kubeconfigOptions struct {
	credentials.Request
	node   string // instead of a user: the node of the agent that logs in
	server string // empty: the address in the kubeconfig of the caller
	output string // empty: standard output
}

func newKubeconfig(con console) *cobra.Command {
	var client clientOptions
	var o kubeconfigOptions
	cmd := &cobra.Command{
		Use:   "kubeconfig --user NAME | --node NAME",
		Short: "Create a kubeconfig for a user, or for the agent of another host",
		Long: `Creates a kubeconfig with the server's address, its certificate authority and a new token. It works
wherever the server can be reached, for everyone who has the file. 'viaduct token list' lists the
token, and 'viaduct token delete' deletes it.`,
		Example: `  viaduct kubeconfig --user alice --role view > alice.kubeconfig
  viaduct kubeconfig --user ci --role edit -n staging --ttl 720h -o ci.kubeconfig
  viaduct kubeconfig --node host-2 --server https://10.0.0.7:7443 -o host-2.kubeconfig`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			config, err := client.config("viaduct-kubeconfig")
			if err != nil {
				return err
			}
			return o.run(cmd, con, config)
		},
	}
	client.register(cmd)
	flags := cmd.Flags()
	registerRequest(flags, &o.Request, kubeconfigTTL)
	flags.StringVar(&o.node, "node", "", "name of the node whose agent logs in; instead of --user")
	flags.StringVar(&o.server, "server", "", "URL of the server for the new kubeconfig (default: the URL that this "+
		"command "+
		"uses)")
	flags.StringVarP(&o.output, "output", "o", "", "file to write, with mode 0600 (default: standard output)")
	return cmd
}

// complete turns a node into its user and groups, and checks the flags.
func (o *kubeconfigOptions) complete() error {
	if o.node != "" {
		if o.User != "" || len(o.Groups) > 0 || o.Role != "" {
			return errors.New("--node sets the user and its rights: leave out --user, --group and --role")
		}
		o.User, o.Groups = "system:node:"+o.node, []string{"system:nodes"}
	}
	if o.User == "" {
		return errors.New("a user or a node is required: give --user NAME or --node NAME")
	}
	if o.server != "" {
		if u, err := url.Parse(o.server); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("--server %q: want a URL such as https://10.0.0.7:7443", o.server)
		}
	}
	return o.Check()
}

func (o *kubeconfigOptions) run(cmd *cobra.Command, con console, config *rest.Config) error {
	api, err := newClient(config)
	if err != nil {
		return err
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return fmt.Errorf("reading the certificate authority: %w", err)
	}
	issued, err := credentials.Issue(cmd.Context(), api, o.Request)
	if err != nil {
		return err
	}
	text, err := credentials.Kubeconfig(config, o.server, issued, o.Namespace)
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	fmt.Fprintln(con.Err, issued)
	if o.node == "" {
		warnWithoutRole(con.Err, o.Request)
	}
	if o.output == "" {
		_, err = con.Out.Write(text)
		return err
	}
	return credentials.WriteFile(o.output, text)
}
