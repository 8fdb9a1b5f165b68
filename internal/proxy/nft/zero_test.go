package nft_test

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

// rollout is a Service under load in a lab, whose Pods are replaced one after the other.
type rollout struct {
	*testing.T
	lab     *proxytest.Lab
	backend *nft.Backend
	place   netip.AddrPort
	pods    []*rollingPod
	leaving []*rollingPod
	next    uint16
}

func newRollout(t *testing.T) *rollout {
	r := &rollout{T: t, lab: proxytest.NewLab(t), place: netip.MustParseAddrPort("10.96.0.10:80"), next: 10000}
	r.start()
	for range 3 {
		r.pods = append(r.pods, r.pod())
	}
	r.sync()
	return r
}

// start starts the backend over whatever is there.
func (r *rollout) start() {
	r.Helper()
	r.lab.In(proxytest.Node, func() (err error) {
		r.backend, err = nft.New(nft.Options{Pods: proxytest.PodRanges()})
		return err
	})
	r.Cleanup(func() { _ = r.backend.Leave() }) // it may have left before
}

// pod starts another Pod, on the one node and the other in turn.
func (r *rollout) pod() *rollingPod {
	r.next++
	return startPod(r.T, r.lab, []proxytest.Host{proxytest.PodA, proxytest.FarPod}[r.next%2], r.next)
}

func (r *rollout) table() *routing.Table {
	at := func(pods []*rollingPod) (list []netip.AddrPort) {
		for _, p := range pods {
			list = append(list, p.at)
		}
		slices.SortFunc(list, netip.AddrPort.Compare)
		return list
	}
	return rolling(r.place, at(r.pods), at(r.leaving))
}

func (r *rollout) sync() {
	r.Helper()
	r.lab.In(proxytest.Node, func() error { return r.backend.Sync(r.Context(), r.table(), nil) })
}

func (r *rollout) change() {
	r.Helper()
	now := r.table()
	r.lab.In(proxytest.Node, func() error { return r.backend.Sync(r.Context(), now, now.Services()) })
}

// roll replaces the oldest Pod: the new one is ready, the old one terminates gracefully, serving what it has, and is
// gone.
func (r *rollout) roll() {
	r.Helper()
	r.pods = append(r.pods, r.pod())
	r.change()
	r.leaving, r.pods = append(r.leaving, r.pods[0]), r.pods[1:]
	r.change()
	<-time.After(grace) // what a Pod does here is take its time
	old := r.leaving
	r.leaving = nil
	r.change()
	for _, p := range old {
		p.stop()
	}
}

// TestZeroFailedConnections: no client of a Service notices that its Pods are replaced, nor that the proxy is started
// again, nor that it is killed in the middle of its work.
func TestZeroFailedConnections(t *testing.T) {
	r := newRollout(t)
	load := startLoad(r.lab, r.place)
	for i := range times(6, 100) {
		r.roll()
		if i%5 == 2 {
			if err := r.backend.Leave(); err != nil {
				t.Fatal(err)
			}
			r.killed()
			r.start()
			r.sync()
		}
	}
	if failures := load.end(); len(failures) > 0 {
		t.Errorf("%d requests failed, %d did not; the first:\n%s", len(failures), load.done.Load(),
			strings.Join(failures[:min(len(failures), 20)], "\n"))
	}
	for _, m := range told(t, r.backend.Collectors()) {
		if m <= 0 {
			t.Error("conversations with Pods that went were forgotten, and it is not counted")
		}
	}
	t.Logf("%d requests, none failed", load.done.Load())
}

// connect opens a connection from a Pod.
func (r *rollout) connect() (c net.Conn) {
	r.Helper()
	r.lab.In(proxytest.PodB, func() (err error) {
		c, err = net.DialTimeout("tcp", r.place.String(), zeroPatience)
		return err
	})
	return c
}

// killed has another process work on the table, and kills it while it does.
func (r *rollout) killed() {
	r.Helper()
	var args []string
	for _, p := range r.pods {
		args = append(args, p.at.String())
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), victimVariable+"="+strings.Join(args, ","))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = r.lab.Do(proxytest.Node, cmd.Start)
	}
	if err != nil {
		r.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; n < 20 && lines.Scan(); n++ { // it works
	}
	if err := cmd.Process.Kill(); err != nil {
		r.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

const victimVariable = "VIADUCT_TEST_VICTIM"

// TestVictim is the process that is killed: it makes the Service larger and smaller, over and over. It is no test of
// its own.
func TestVictim(t *testing.T) {
	list := os.Getenv(victimVariable)
	if list == "" {
		t.Skip("it is the part of TestZeroFailedConnections that is killed")
	}
	var pods []netip.AddrPort
	for _, text := range strings.Split(list, ",") {
		pods = append(pods, netip.MustParseAddrPort(text))
	}
	slices.SortFunc(pods, netip.AddrPort.Compare)
	b, err := nft.New(nft.Options{Pods: proxytest.PodRanges()})
	if err != nil {
		t.Fatal(err)
	}
	place := netip.MustParseAddrPort("10.96.0.10:80")
	for i := range 1_000_000 {
		in := pods
		if i%2 == 1 {
			in = pods[:len(pods)-1]
		}
		now := rolling(place, in, pods[len(in):])
		if err := b.Sync(t.Context(), now, now.Services()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("synced\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForeignFlushUnderLoad: a table that a foreign hand flushes is repaired at once. What fails meanwhile cannot be
// helped, and is little.
func TestForeignFlushUnderLoad(t *testing.T) {
	r := newRollout(t)
	ctx, cancel := context.WithCancel(t.Context())
	doubts, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- r.backend.Watch(ctx, func() { doubts <- struct{}{} }) }()
	load := startLoad(r.lab, r.place)
	for _, name := range []string{"flushes the rules", "empties a map", "deletes a table"} {
		load.await(t, 1000)
		started := time.Now()
		r.lab.In(proxytest.Node, nft.Hands[name])
		select {
		case <-doubts:
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: not noticed", name)
		}
		r.sync()
		t.Logf("%s: repaired after %s", name, time.Since(started))
	}
	load.await(t, 1000)
	failures := load.end()
	t.Logf("%d requests were answered, %d failed while a foreign hand was at work", load.done.Load(), len(failures))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	calm := startLoad(r.lab, r.place)
	calm.await(t, 1000)
	r.roll()
	if failures := calm.end(); len(failures) > 0 {
		t.Errorf("after the repair %d requests failed, the first: %s", len(failures), failures[0])
	}
}

// told is what each of two metrics counts: how often stale conversations were looked for, and how many there were.
func told(t *testing.T, metrics []prometheus.Collector) (counts []float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics...)
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	for _, f := range families {
		m := f.GetMetric()[0]
		counts = append(counts, m.GetCounter().GetValue()+float64(m.GetHistogram().GetSampleCount()))
	}
	return counts
}
