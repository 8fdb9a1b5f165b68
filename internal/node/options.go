package node

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"viaduct/internal/node/runtime"
)

// Options configure an Agent.
type Options struct {
	NodeName string // required: the name of the Node, and the spec.nodeName of its Pods
	// Runtime runs the containers. nil: the Node is registered, but another program runs its Pods and writes their
	// status.
	Runtime runtime.Runtime
	PodCIDR netip.Prefix // required with a Runtime: the range of the addresses of Pods
	// SecondPodCIDR is a range of the other IP family, for Pods with an address of each; invalid: none.
	SecondPodCIDR netip.Prefix
	HostIP        netip.Addr   // of the Node; default: 127.0.0.1 if PodCIDR is loopback, else an address of the host
	Log           *slog.Logger // default: slog.Default()

	Backoff       time.Duration // first wait of a container that ends again; default 10 s, as in Kubernetes
	ShutdownGrace time.Duration // time for Pods to end when the agent ends; default 10 s
}

// complete checks the options and fills in the defaults.
func (o *Options) complete() error {
	if o.NodeName == "" {
		return errors.New("the node has no name")
	}
	if o.Runtime != nil && !o.PodCIDR.IsValid() {
		return errors.New("to run pods a node needs a range of addresses for them")
	}
	if !o.HostIP.IsValid() {
		o.HostIP = hostAddress(o.PodCIDR)
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
