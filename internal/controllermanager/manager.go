// Package controllermanager runs the controllers of one process: those of package endpoints and the scheduler. With
// leader election only one of several processes works, and the others keep their caches in sync so that they can take
// over at once.
package controllermanager

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/endpoints"
	"viaduct/internal/history"
	"viaduct/internal/leader"
	"viaduct/internal/scheduler"
)

// Options configure a Manager.
type Options struct {
	Controllers []string // names as Parse returns them
	Election    Election
	HistoryFile string // file of the endpoints history; empty: the history is in memory
	CheckRate   int    // health checks per second, of all Services together
	Log         *slog.Logger
}

// Election configures leader election.
type Election struct {
	Enabled bool
	Times   leader.Times
	Lease   types.NamespacedName
}

// DefaultElection returns kube-controller-manager's defaults, with a Lease of Viaduct's own.
func DefaultElection() Election {
	return Election{Enabled: true, Times: leader.DefaultTimes(),
		Lease: types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: "viaduct-controller"}}
}

// A Manager runs controllers. Without leader election they work at once.
type Manager struct {
	endpoints *endpoints.Controller // nil: none of the three controllers was chosen
	history   *history.Recorder     // nil if endpoints is
	scheduler *scheduler.Scheduler  // nil: not chosen
	candidate *leader.Candidate     // nil: no leader election
}

// New makes a Manager. It returns an error if the history file cannot be opened.
func New(client kubernetes.Interface, o Options) (*Manager, error) {
	m := &Manager{}
	chosen := slices.DeleteFunc(slices.Clone(o.Controllers), func(name string) bool { return name == Scheduler })
	if len(chosen) > 0 {
		var err error
		m.history, err = history.New(history.Options{Path: o.HistoryFile, Log: o.Log.With("part", "history")})
		if err != nil {
			return nil, err
		}
		m.endpoints = endpoints.New(client, endpoints.Options{Controllers: chosen, History: m.history,
			CheckRate: o.CheckRate, Log: o.Log.With("part", "endpoints")})
	}
	if slices.Contains(o.Controllers, Scheduler) {
		m.scheduler = scheduler.New(client, o.Log.With("part", "scheduler"))
	}
	if o.Election.Enabled {
		identity, err := leader.Identity()
		if err != nil {
			return nil, err
		}
		m.candidate = leader.New(client, o.Election.Lease, identity, o.Election.Times, o.Log.With("part", "leader"))
	}
	return m, nil
}

// Run keeps the caches in sync until ctx ends, and runs the controllers while this process leads. Work in progress is
// finished before the leadership ends.
func (m *Manager) Run(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	if m.endpoints != nil {
		all.Go(func() error { return errors.Join(m.endpoints.Watch(ctx), m.history.Close()) })
	}
	all.Go(func() error {
		if m.candidate == nil {
			return m.work(ctx)
		}
		return m.candidate.Run(ctx, m.work)
	})
	return all.Wait()
}

func (m *Manager) work(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	if m.endpoints != nil {
		all.Go(func() error { return m.endpoints.Work(ctx) })
	}
	if m.scheduler != nil {
		all.Go(func() error { return m.scheduler.Run(ctx) })
	}
	return all.Wait()
}

// leads reports whether the controllers of this process work.
func (m *Manager) leads() bool {
	if m.candidate == nil {
		return true
	}
	_, self := m.candidate.Holder()
	return self
}
