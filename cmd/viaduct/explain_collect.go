package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"viaduct/internal/datadir"
	"viaduct/internal/explain/collect"
)

// collectorFlags are the flags of the commands that read from an API server and from the proxy of this node.
type collectorFlags struct {
	dataDir    string
	kubeconfig string
	context    string
	namespace  string
	proxy      string // URL
	probe      bool
}

func (s *collectorFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	registerDataDir(flags, &s.dataDir)
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "kubeconfig of the API server (default: $KUBECONFIG, the one in "+
		"--data-dir, then ~/.kube/config)")
	flags.StringVar(&s.context, "context", "", "context of the kubeconfig")
	flags.StringVarP(&s.namespace, "namespace", "n", "", "namespace (default: the context's)")
	s.proxy = "http://" + defaultMetricsAddress
	flags.StringVar(&s.proxy, "proxy-address", s.proxy, "URL of this node's proxy (its --metrics-bind-address); "+
		"empty: the proxy is not asked")
}

// open finds the API server.
func (s *collectorFlags) open() (*collect.Collector, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	switch own := datadir.Kubeconfig(s.dataDir); {
	case s.kubeconfig != "":
		rules.ExplicitPath = s.kubeconfig
	case os.Getenv("KUBECONFIG") == "" && !asPlugin():
		if _, err := os.Stat(own); err == nil {
			rules.ExplicitPath = own
		}
	}
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules,
		&clientcmd.ConfigOverrides{CurrentContext: s.context})
	if s.namespace == "" {
		namespace, _, err := config.Namespace()
		if err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
		s.namespace = namespace
	}
	rest, err := config.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no API server is known: neither --kubeconfig nor $KUBECONFIG is given, and there is no "+
			"%s: is "+
			"'viaduct up' running with this data directory?", datadir.Kubeconfig(s.dataDir))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	rest.UserAgent = "viaduct-explain"
	rest.QPS = -1
	rest.WarningHandler = restclient.NoWarnings{} // no warnings that Endpoints are deprecated
	api, err := newClient(rest)
	return &collect.Collector{API: api, Namespace: s.namespace, Proxy: s.proxy, Probe: s.probe,
		NodeName: func() (string, error) { return orHostName("") }}, err
}

// pluginName is the name of this program as a plugin of kubectl. As a plugin, it uses kubectl's kubeconfig.
const pluginName = "kubectl-viaduct"

func asPlugin() bool { return filepath.Base(os.Args[0]) == pluginName }
