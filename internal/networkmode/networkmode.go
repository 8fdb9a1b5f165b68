// Package networkmode decides which address ranges `viaduct up` uses, and with them how Pods are connected.
//
// There are two modes. In host mode, Services and Pods have loopback addresses, Pods share the host's network, and this
// process copies connections; it needs no privilege. In isolated mode, each Pod has a network namespace and the kernel
// redirects connections; it needs root. The ranges decide the mode: ranges inside 127.0.0.0/8 mean host mode. See
// docs/decisions/0010.
package networkmode

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"

	"viaduct/internal/addressrange"
	"viaduct/internal/node/network"
)

// Ranges are the address ranges of Services and Pods: none, one, or one of each IP family with the primary first.
type Ranges struct{ Services, Pods []netip.Prefix }

// Host returns the default ranges of host mode.
func Host() Ranges {
	return Ranges{Services: []netip.Prefix{netip.MustParsePrefix("127.96.0.0/16")},
		Pods: []netip.Prefix{netip.MustParsePrefix("127.128.0.0/16")}}
}

// Isolated returns the default ranges of isolated mode.
func Isolated() Ranges {
	return Ranges{Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		Pods: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}
}

// Options are the inputs of Choose.
type Options struct {
	DataDir  string
	StoreDir string // the API server's store; if it exists, this is not the first start
	Given    Ranges // from the command line
	// Allowed is whether the flags allow isolated mode: the proxy may use the kernel, and Pods run on this host.
	Allowed bool
	// Check returns an error if ranges cannot be used together.
	Check func(Ranges) error
	// Open makes the Pods' network. It returns nil without an error for ranges of host mode.
	Open func(Ranges) (*network.Network, error)
	Log  *slog.Logger
}

// Choose returns the ranges, and the network of the Pods in isolated mode. A range that is not given is the one of the
// last start with the same data directory. At the first start, Choose tries isolated mode if the process is root and
// the options allow it, and falls back to host mode with a warning. It writes the ranges to the data directory.
func Choose(o Options) (Ranges, *network.Network, error) {
	ranges, err := recall(o.DataDir, o.Given)
	if err != nil {
		return Ranges{}, nil, err
	}
	if len(ranges.Services) == 0 && len(ranges.Pods) == 0 && o.Allowed && os.Geteuid() == 0 && isNew(o.StoreDir) {
		isolated := Isolated()
		made, err := o.Open(isolated)
		if err == nil {
			return isolated, made, save(o.DataDir, isolated)
		}
		o.Log.Warn("Pods share this host's network", "err", err)
	}
	ranges = complete(ranges)
	if err := o.Check(ranges); err != nil {
		return Ranges{}, nil, err
	}
	made, err := o.Open(ranges)
	if err != nil {
		host := Host()
		return Ranges{}, nil, fmt.Errorf("%w; Pod addresses outside of 127.0.0.0/8 need root and a network of their own: "+
			"for "+
			"Pods that share this host's network, use another --data-dir, or --service-cidr %s --pod-cidr %s", err,
			host.Services[0], host.Pods[0])
	}
	return ranges, made, save(o.DataDir, ranges)
}

// isNew reports whether there is no store yet. A store from a version that did not save its ranges holds loopback
// addresses.
func isNew(storeDir string) bool {
	_, err := os.Stat(storeDir)
	return errors.Is(err, fs.ErrNotExist)
}

// complete gives a missing range the default of the mode that the other range is in.
func complete(r Ranges) Ranges {
	inside := func(list []netip.Prefix) bool { return len(list) == 0 || addressrange.InLoopback(list[0]) }
	defaults := Host()
	if !inside(r.Services) || !inside(r.Pods) {
		defaults = Isolated()
	}
	if len(r.Services) == 0 {
		r.Services = defaults.Services
	}
	if len(r.Pods) == 0 {
		r.Pods = defaults.Pods
	}
	return r
}
