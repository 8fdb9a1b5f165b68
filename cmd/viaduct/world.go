package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"viaduct/internal/apiserver"
	"viaduct/internal/node/network"
)

// `viaduct up` makes one of two worlds. In the one, Services and Pods have loopback addresses, Pods share the host's
// network, and connections are copied by this process: nothing needs privilege. In the other, Pods have network
// namespaces of their own and the kernel redirects connections; that needs root. The address ranges say which.

var (
	loopbackServices   = []netip.Prefix{netip.MustParsePrefix("127.96.0.0/16")}
	loopbackPods       = []netip.Prefix{netip.MustParsePrefix("127.128.0.0/16")}
	namespacedServices = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}
	namespacedPods     = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}
)

// settle decides for a world, and makes the network of its Pods if they have one of their own. What no flag says is as
// it was at the last start over this data directory; at the first, Pods get namespaces where the host allows it.
func (o *upOptions) settle(log *slog.Logger) (*network.Network, error) {
	if err := o.recall(); err != nil {
		return nil, err
	}
	services, pods := o.server.serviceCIDRs, o.agent.podCIDRs
	if len(services) == 0 && len(pods) == 0 && o.mayNamespace() {
		o.server.serviceCIDRs, o.agent.podCIDRs = namespacedServices, namespacedPods
		made, err := o.agent.openNetwork(o.server.serviceCIDRs, log)
		if err == nil {
			return made, o.remember()
		}
		log.Warn("Pods share this host's network", "reason", err)
		o.server.serviceCIDRs, o.agent.podCIDRs = nil, nil
	}
	o.fill()
	if err := o.checkRanges(); err != nil {
		return nil, err
	}
	made, err := o.agent.openNetwork(o.server.serviceCIDRs, log)
	if err != nil {
		return nil, fmt.Errorf("%w; Pods whose addresses are outside of 127.0.0.0/8 need root and a network of their own: "+
			"for the other kind, "+
			"use another --data-dir, or --service-cidr %s --pod-cidr %s", err, cidrs{&loopbackServices}, cidrs{&loopbackPods})
	}
	return made, o.remember()
}

// mayNamespace reports whether Pods may get namespaces though nobody asked for it.
func (o *upOptions) mayNamespace() bool {
	_, err := os.Stat(apiserver.StoreDir(o.server.dataDir))
	// else it may hold addresses of the other world, from before ranges were remembered
	fresh := errors.Is(err, fs.ErrNotExist)
	return os.Geteuid() == 0 && fresh && (o.proxy.mode == proxyAuto || o.proxy.mode == proxyNFT) &&
		o.agent.runtime == runtimeProcess
}

// fill gives a range that nobody chose the default of the world that the other is in.
func (o *upOptions) fill() {
	inside := func(list []netip.Prefix) bool { return len(list) == 0 || inLoopback(list[0]) }
	services, pods := loopbackServices, loopbackPods
	if !inside(o.server.serviceCIDRs) || !inside(o.agent.podCIDRs) {
		services, pods = namespacedServices, namespacedPods
	}
	if len(o.server.serviceCIDRs) == 0 {
		o.server.serviceCIDRs = services
	}
	if len(o.agent.podCIDRs) == 0 {
		o.agent.podCIDRs = pods
	}
}

// rangesFile is where the ranges of the last start are kept, in the words of the flags.
const rangesFile = "ranges"

// recall sets what no flag said to what it was at the last start.
func (o *upOptions) recall() error {
	raw, err := os.ReadFile(filepath.Join(o.server.dataDir, rangesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the address ranges of the last start: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		flag, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		into := map[string]*[]netip.Prefix{"--service-cidr": &o.server.serviceCIDRs, "--pod-cidr": &o.agent.podCIDRs}[flag]
		if into == nil || len(*into) > 0 {
			continue
		}
		if err := (cidrs{into}).Set(text); err != nil {
			return fmt.Errorf("reading the address ranges of the last start: %s %s: %w", flag, text, err)
		}
	}
	return nil
}

func (o *upOptions) remember() error {
	text := fmt.Sprintf("--service-cidr %s\n--pod-cidr %s\n", cidrs{&o.server.serviceCIDRs}, cidrs{&o.agent.podCIDRs})
	if err := os.WriteFile(filepath.Join(o.server.dataDir, rangesFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("noting the address ranges: %w", err)
	}
	return nil
}
