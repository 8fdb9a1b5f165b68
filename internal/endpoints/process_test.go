package endpoints_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/endpoints"
)

// process is what one process of the controller does in a campaign: it watches from its launch on, and works when it is
// the leader.
type process struct {
	t           *testing.T
	name        string  // by which its requests are known
	faults      *faults // of the campaign
	controllers []*endpoints.Controller
	watching    []*task
	working     []*task
}

// task is a function that runs until it is ended.
type task struct {
	cancel context.CancelFunc
	done   chan error
}

func begin(run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(context.Background())
	task := &task{cancel, make(chan error, 1)}
	go func() { task.done <- run(ctx) }()
	return task
}

func endAll(t *testing.T, tasks []*task) {
	t.Helper()
	for _, task := range tasks {
		task.cancel()
	}
	for _, task := range tasks {
		if err := <-task.done; err != nil {
			t.Errorf("a controller ended with: %v", err)
		}
	}
}

// launch starts a process that watches: with one controller of everything, or, if it is split, with one for Endpoints
// and another for slices, as if they had been left to different processes.
func (c *campaign) launch(split bool) *process {
	c.t.Helper()
	config := c.server.ClientConfig(apiserver.UserController)
	config.Wrap(c.faults.around)
	c.launched++
	config.UserAgent = fmt.Sprintf("process-%d", c.launched)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		c.t.Fatal(err)
	}
	shares := [][]string{nil}
	if split {
		shares = [][]string{{endpoints.EndpointsController}, {endpoints.SliceController, endpoints.MirrorController}}
	}
	p := &process{t: c.t, name: config.UserAgent, faults: c.faults}
	for _, share := range shares {
		controller := endpoints.New(client, endpoints.Options{Controllers: share, Log: slog.New(slog.DiscardHandler)})
		p.controllers = append(p.controllers, controller)
		p.watching = append(p.watching, begin(controller.Watch))
	}
	return p
}

// work makes the process the leader.
func (p *process) work() {
	for _, controller := range p.controllers {
		p.working = append(p.working, begin(controller.Work))
	}
}

// rest is the end of its lead.
func (p *process) rest() {
	p.faults.stopping(func() { endAll(p.t, p.working) })
	p.working = nil
}

func (p *process) end() {
	p.rest()
	p.faults.stopping(func() { endAll(p.t, p.watching) })
	p.watching = nil
}

// start gives the campaign a leader, and another process that waits.
func (c *campaign) start() {
	c.leader, c.standby = c.launch(false), c.launch(c.rng.IntN(2) == 0)
	c.leader.work()
}

// stop ends all processes.
func (c *campaign) stop() {
	for _, p := range []*process{c.leader, c.standby} {
		if p != nil {
			p.end()
		}
	}
	c.leader, c.standby = nil, nil
}

// restart ends the leader, and lets another process take its place.
func (c *campaign) restart() {
	c.leader.end()
	c.leader = c.launch(c.rng.IntN(3) == 0)
	c.leader.work()
}

// handOver lets the process that waits become the leader: once the other has ended its work, or before, so that for a
// while two are at it. The one that rests is sometimes the same that works again later.
func (c *campaign) handOver(overlap bool) {
	if !overlap {
		c.leader.rest()
	}
	c.standby.work()
	c.leader.rest()
	c.leader, c.standby = c.standby, c.leader
	if c.rng.IntN(2) == 0 {
		c.standby.end()
		c.standby = c.launch(c.rng.IntN(3) == 0)
	}
}
