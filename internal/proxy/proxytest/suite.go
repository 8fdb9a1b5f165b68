// Package proxytest is the conformance suite of proxy backends. It makes real connections to the places of a table,
// with real endpoints behind them, and checks every answer with Lookup of package routing. A backend is complete when
// it passes.
//
// Everything runs on loopback addresses of this host. They depend on the process ID, so that two runs do not use the
// same ones.
package proxytest

import (
	"net/netip"
	"os"
	"testing"

	"viaduct/internal/proxy"
)

// Options say what a backend can do.
type Options struct {
	// Binds: the backend binds the addresses that it serves. A port that another process has is an error, and the
	// backend's own ports are free after Close.
	Binds bool
	// CountsConnections: the backend serves least-connections.
	CountsConnections bool
	// Net contains the addresses of Frontends and endpoints. It is at least a /24. The zero Prefix means a /24 of
	// 127.0.0.0/8 that depends on the process ID.
	Net netip.Prefix
}

// Run tests the backends that open makes. Each test has a backend of its own and closes it.
func Run(t *testing.T, open func(t *testing.T) proxy.Backend, opts Options) {
	if !opts.Net.IsValid() {
		opts.Net = processNet()
	}
	start := func(test func(*world)) func(*testing.T) {
		return func(t *testing.T) { test(newWorld(t, open(t), opts)) }
	}
	for _, c := range []struct {
		name string
		test func(*world)
	}{
		{"spreads over the endpoints", spreads},
		{"round-robin", inTurn},
		{"weights", byWeight},
		{"source-hash", bySource},
		{"a drained endpoint", drained},
		{"UDP of a drained endpoint", drainedUDP},
		{"refuses at once without endpoints", refuses},
		{"two places are kept apart", keptApart},
		{"changes under load fail no connection", changesUnderLoad},
		{"a dead endpoint is skipped", deadSkipped},
		{"all endpoints dead", allDead},
		{"half-close passes both ways", halfClose},
		{"large transfers arrive whole", largeTransfer},
		{"a reset passes both ways", resets},
		{"affinity holds and yields", affinity},
		{"established connections are kept", established},
		{"source ranges", sourceRanges},
		{"UDP spreads and stays", udpSpreads},
		{"UDP without endpoints", udpRefuses},
		{"UDP leaves an endpoint that left", udpMoves},
		{"UDP skips a dead endpoint", udpDead},
		{"random tables", randomTables},
	} {
		t.Run(c.name, start(c.test))
	}
	if opts.CountsConnections {
		t.Run("least-connections", start(byLoad))
	}
	if opts.Binds {
		t.Run("a port that is taken", start(portTaken))
		t.Run("Close frees everything", start(closeFrees))
	}
}

// processNet returns a /24 of 127.0.0.0/8, outside the default ranges of viaduct.
func processNet() netip.Prefix {
	pid := os.Getpid()
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(10 + pid%80), byte(pid / 80 % 250), 0}), 24)
}
