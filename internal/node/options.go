package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"viaduct/internal/node/network"
)

// The runtimes an agent can have.
const (
	RuntimeProcess = "process" // Pods are processes of this host
	RuntimeNone    = "none"    // the Node is registered, but Pods are left to whoever writes their status
)

// Options say what an Agent is to be.
type Options struct {
	NodeName string       // required: the name of the Node, and what spec.nodeName of its Pods says
	PodCIDR  netip.Prefix // required with the process runtime: where the addresses of its Pods come from
	// SecondPodCIDR is a range of the other family, for Pods with an address of each; only with a Network.
	SecondPodCIDR netip.Prefix
	// Network gives each Pod a network namespace; nil: Pods share the host's network.
	Network *network.Network
	HostIP  netip.Addr   // of the Node; default: 127.0.0.1 if PodCIDR is loopback, else an address of the host
	DataDir string       // required with the process runtime: logs and run records, under pods/
	Runtime string       // RuntimeProcess (default) or RuntimeNone
	RunAs   string       // USER or USER:GROUP that Pods run as by default; empty: as the agent itself
	Self    string       // what a command "viaduct" runs that PATH does not have; default: this executable
	Log     *slog.Logger // default: slog.Default()

	Backoff       time.Duration // the first wait of a container that ends again; default and Kubernetes': 10 s
	ShutdownGrace time.Duration // the most that Pods get to end in when the agent does; default 10 s
}

// complete checks the options and fills in the defaults.
func (o *Options) complete() error {
	if o.NodeName == "" {
		return errors.New("the node has no name")
	}
	switch o.Runtime {
	case "":
		o.Runtime = RuntimeProcess
	case RuntimeProcess, RuntimeNone:
	default:
		return fmt.Errorf("runtime %q is neither %s nor %s", o.Runtime, RuntimeProcess, RuntimeNone)
	}
	if o.Runtime == RuntimeProcess {
		if !o.PodCIDR.IsValid() || o.DataDir == "" {
			return errors.New("to run pods a node needs a range of addresses for them and a data directory")
		}
		dir, err := filepath.Abs(o.DataDir)
		if err != nil {
			return fmt.Errorf("finding the data directory: %w", err)
		}
		o.DataDir = dir
	}
	if !o.HostIP.IsValid() {
		o.HostIP = hostAddress(o.PodCIDR)
	}
	if o.Self == "" {
		o.Self, _ = os.Executable() // without it, "viaduct" has to be in PATH
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Backoff <= 0 {
		o.Backoff = 10 * time.Second
	}
	if o.ShutdownGrace <= 0 {
		o.ShutdownGrace = 10 * time.Second
	}
	return nil
}
