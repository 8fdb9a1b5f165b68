package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigTTL is how long the token of a kubeconfig is valid if nobody says otherwise: as long as the administrator's
// certificate.
const kubeconfigTTL = 365 * 24 * time.Hour

// kubeconfigOptions say for whom a kubeconfig is, and where it goes.
type kubeconfigOptions struct {
	userOptions
	node   string // instead of a user: the node whose agent logs in
	server string // empty: as in the kubeconfig by which it is made
	output string // empty: standard output
}

func newKubeconfig(con console) *cobra.Command {
	var client clientOptions
	var o kubeconfigOptions
	cmd := &cobra.Command{
		Use:   "kubeconfig --user NAME | --node NAME",
		Short: "Make a kubeconfig for somebody, or for the agent of another host",
		Long: `Makes a kubeconfig that works wherever the server can be reached: it has the server's address, the certificate authority, and a token
made for it, which 'viaduct token list' shows and 'viaduct token delete' revokes. Whoever has the file is logged in.`,
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
	o.register(cmd.Flags(), kubeconfigTTL)
	flags := cmd.Flags()
	flags.StringVar(&o.node, "node", "", "instead of --user: the node whose agent is to log in")
	flags.StringVar(&o.server, "server", "", "URL by which the server is reached from there (default: as from here)")
	flags.StringVarP(&o.output, "output", "o", "", "file to write, readable by you alone (default: standard output)")
	return cmd
}

// complete makes a user of a node, and says what of a command line makes no sense.
func (o *kubeconfigOptions) complete() error {
	if o.node != "" {
		if o.user != "" || len(o.groups) > 0 || o.role != "" {
			return errors.New("--node says who logs in and what they may do: leave out --user, --group and --role")
		}
		o.user, o.groups = "system:node:"+o.node, []string{"system:nodes"}
	}
	if o.user == "" {
		return errors.New("whose kubeconfig? say --user NAME, or --node NAME")
	}
	if o.server != "" {
		if u, err := url.Parse(o.server); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("--server %q: want a URL such as https://10.0.0.7:7443", o.server)
		}
	}
	return o.check()
}

func (o *kubeconfigOptions) run(cmd *cobra.Command, con console, config *rest.Config) error {
	api, err := newClient(config)
	if err != nil {
		return err
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return fmt.Errorf("reading the certificate authority: %w", err)
	}
	made, err := o.grant(cmd.Context(), api)
	if err != nil {
		return err
	}
	text, err := clientcmd.Write(o.kubeconfig(config, made.text))
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	fmt.Fprintln(con.Err, made.describe())
	if o.node == "" {
		o.warnOfNoRole(con.Err)
	}
	if o.output == "" {
		_, err = con.Out.Write(text)
		return err
	}
	return writePrivate(o.output, text)
}

// kubeconfig is that of the user, for the server that config is for.
func (o *kubeconfigOptions) kubeconfig(config *rest.Config, token string) clientcmdapi.Config {
	server := o.server
	if server == "" {
		server = config.Host
	}
	made := *clientcmdapi.NewConfig()
	made.Clusters["viaduct"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: config.CAData}
	made.AuthInfos[o.user] = &clientcmdapi.AuthInfo{Token: token}
	made.Contexts["viaduct"] = &clientcmdapi.Context{Cluster: "viaduct", AuthInfo: o.user, Namespace: o.namespace}
	made.CurrentContext = "viaduct"
	return made
}

// writePrivate replaces a file whole by one that only its owner can read, whatever its mode was.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}
