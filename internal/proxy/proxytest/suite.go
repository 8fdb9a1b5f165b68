// Package proxytest is the conformance suite of proxy backends: real connections to the places a table names, real
// endpoints behind them, and package table's Lookup as the judge of every answer. A backend is done when it passes.
//
// Everything happens on loopback addresses of this host, which are taken from the process's number so that two runs do
// not meet.
package proxytest

import (
	"net/netip"
	"os"
	"testing"

	"viaduct/internal/proxy"
)

// Options say what a backend can do.
type Options struct {
	// Binds: it binds the addresses it serves, so a port that somebody else has is an error, and a port of its own is
	// free after Close.
	Binds bool
	// CountsConnections: it serves least-connections.
	CountsConnections bool
	// Net is where Frontends and endpoints get their addresses; at least a /24. The zero Prefix means a /24 of
	// 127.0.0.0/8 of this process.
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
		{"changes under load fail nobody", changesUnderLoad},
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

// processNet is a /24 below 127.0.0.0/8, outside the ranges that viaduct itself uses by default.
func processNet() netip.Prefix {
	pid := os.Getpid()
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, byte(10 + pid%80), byte(pid / 80 % 250), 0}), 24)
}
