package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/endpoints"
	"viaduct/internal/history"
	"viaduct/internal/leader"
	"viaduct/internal/scheduler"
	"viaduct/internal/supervisor"
)

// What --controllers takes beside the names of the controllers.
const (
	allEndpoints        = "endpoints" // short for the three controllers of package endpoints
	schedulerController = "scheduler" // binds Pods to nodes; a cluster has one already
	everyController     = "*"         // those that run if nothing is said
)

// knownControllers are all that --controllers may name.
func knownControllers() []string { return append(endpoints.Controllers(), schedulerController) }

// chosenControllers reads --controllers as kube-controller-manager does: a name turns a controller on, one with a minus
// in front off; * are those that run if nothing is said.
func chosenControllers(words []string) ([]string, error) {
	on := map[string]bool{}
	for _, word := range words {
		name, off := strings.CutPrefix(word, "-")
		names := []string{name}
		switch {
		case name == allEndpoints, name == everyController && !off:
			names = endpoints.Controllers()
		case !slices.Contains(knownControllers(), name):
			return nil, fmt.Errorf("--controllers: there is no %q; want *, %s or %s, or one of them with a minus in front", word,
				allEndpoints, strings.Join(knownControllers(), ", "))
		}
		for _, name := range names {
			on[name] = !off
		}
	}
	var chosen []string
	for _, name := range knownControllers() {
		if on[name] {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("--controllers names none: there would be nothing to do")
	}
	return chosen, nil
}

// electionOptions say how one of several controllers is chosen to work. The flags are kube-controller-manager's.
type electionOptions struct {
	elect bool
	times leader.Times
	lease types.NamespacedName
}

func defaultElection() electionOptions {
	return electionOptions{elect: true, times: leader.DefaultTimes(),
		lease: types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: "viaduct-controller"}}
}

func (o *electionOptions) register(flags *pflag.FlagSet) {
	*o = defaultElection()
	flags.BoolVar(&o.elect, "leader-elect", o.elect, "work only while holding a Lease, so that several may run; the "+
		"others keep their caches ready")
	flags.DurationVar(&o.times.Lease, "leader-elect-lease-duration", o.times.Lease,
		"how long after its death a leader keeps the others away; one that is stopped does not")
	flags.DurationVar(&o.times.Renew, "leader-elect-renew-deadline", o.times.Renew,
		"how long a leader tries to renew the Lease before it stops working")
	flags.DurationVar(&o.times.Retry, "leader-elect-retry-period", o.times.Retry,
		"how long between two attempts to get or renew the Lease")
	flags.StringVar(&o.lease.Name, "leader-elect-resource-name", o.lease.Name, "name of the Lease")
	flags.StringVar(&o.lease.Namespace, "leader-elect-resource-namespace", o.lease.Namespace,
		"namespace of the Lease; it must exist")
}

func (o *electionOptions) check() error {
	if !o.elect {
		return nil
	}
	if err := o.times.Check(); err != nil {
		return fmt.Errorf("--leader-elect-…: %w", err)
	}
	return nil
}

// controllers are those that one process runs, all of them or none at a time.
type controllers struct {
	endpoints *endpoints.Controller // nil: none of its three
	scheduler *scheduler.Scheduler  // nil: not chosen
	candidate *leader.Candidate     // nil: they work at once
	history   *history.Recorder     // of what is behind every Service; nil: endpoints is
}

// endpointsOptions are the flags of the controllers of package endpoints.
type endpointsOptions struct {
	history   string // the file of the history; "": in memory
	checkRate uint16
}

func (o *endpointsOptions) register(flags *pflag.FlagSet) {
	flags.Uint16Var(&o.checkRate, "check-rate", 2000, "questions a second to addresses with a "+
		"viaduct.dev/health-check, of all Services together; with more addresses each is asked less often")
}

// newControllers makes what which names.
func newControllers(client kubernetes.Interface, which []string, election electionOptions, own endpointsOptions,
	log *slog.Logger) (*controllers, error) {
	c := &controllers{}
	if three := slices.DeleteFunc(slices.Clone(which), func(name string) bool { return name == schedulerController }); len(
		three) > 0 {
		var err error
		if c.history, err = history.New(history.Options{Path: own.history, Log: log.With("part", "history")}); err != nil {
			return nil, err
		}
		c.endpoints = endpoints.New(client, endpoints.Options{Controllers: three, History: c.history,
			CheckRate: int(own.checkRate), Log: log.With("part", "endpoints")})
	}
	if slices.Contains(which, schedulerController) {
		c.scheduler = scheduler.New(client, log.With("part", "scheduler"))
	}
	if election.elect {
		identity, err := leader.Identity()
		if err != nil {
			return nil, err
		}
		c.candidate = leader.New(client, election.lease, identity, election.times, log.With("part", "leader"))
	}
	return c, nil
}

func (c *controllers) component() supervisor.Component {
	return supervisor.Component{Name: "controllers", Run: c.run}
}

// run keeps the caches, and works while it is this process's turn. What is under way is finished before the turn ends.
func (c *controllers) run(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	if c.endpoints != nil {
		all.Go(func() error { return errors.Join(c.endpoints.Watch(ctx), c.history.Close()) })
	}
	all.Go(func() error {
		if c.candidate == nil {
			return c.work(ctx)
		}
		return c.candidate.Run(ctx, c.work)
	})
	return all.Wait()
}

func (c *controllers) work(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	if c.endpoints != nil {
		all.Go(func() error { return c.endpoints.Work(ctx) })
	}
	if c.scheduler != nil {
		all.Go(func() error { return c.scheduler.Run(ctx) })
	}
	return all.Wait()
}
