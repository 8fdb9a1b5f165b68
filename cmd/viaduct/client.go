package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"viaduct/internal/datadir"
)

// clientOptions name the API server of a component that runs alone.
type clientOptions struct {
	dataDir    string
	kubeconfig string // empty: the data directory's
}

func (o *clientOptions) register(cmd *cobra.Command) {
	registerDataDir(cmd.Flags(), &o.dataDir)
	cmd.Flags().StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the API server (default: the kubeconfig in "+
		"--data-dir, or in a Pod its service account)")
}

func (o *clientOptions) config(userAgent string) (*rest.Config, error) {
	config, err := o.find()
	if err != nil {
		return nil, err
	}
	config.UserAgent = userAgent
	config.QPS = -1 // the server limits its load; a limit in the client would only add latency
	return config, nil
}

// find returns the config of --kubeconfig, of the data directory, or of the Pod that this process runs in.
func (o *clientOptions) find() (*rest.Config, error) {
	path := o.kubeconfig
	if path == "" {
		path = datadir.Kubeconfig(o.dataDir)
		if _, err := os.Stat(path); err != nil {
			config, err := rest.InClusterConfig()
			if errors.Is(err, rest.ErrNotInCluster) {
				return nil, fmt.Errorf("finding an API server: %s does not exist: start 'viaduct server' first, or give "+
					"--kubeconfig", path)
			}
			if err != nil {
				return nil, fmt.Errorf("reading this Pod's service account: %w", err)
			}
			return config, nil
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return config, nil
}

func (o *clientOptions) client(userAgent string) (kubernetes.Interface, error) {
	config, err := o.config(userAgent)
	if err != nil {
		return nil, err
	}
	return newClient(config)
}

func newClient(config *rest.Config) (kubernetes.Interface, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making an API client: %w", err)
	}
	return client, nil
}
