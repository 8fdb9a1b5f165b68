package controllermanager

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"viaduct/internal/endpoints"
)

// The names of controllers and groups, besides those of package endpoints.
const (
	Scheduler    = "scheduler" // binds Pods to nodes; a cluster has its own scheduler
	AllEndpoints = "endpoints" // the three controllers of package endpoints
	Defaults     = "*"         // the controllers that run by default: AllEndpoints
)

// Names returns the names of all controllers.
func Names() []string { return append(endpoints.Controllers(), Scheduler) }

// Parse reads a list of controllers as kube-controller-manager's --controllers does: a name turns a controller on, and
// a name after a minus turns it off. The result is in the order of Names. An unknown name and an empty result are
// errors.
func Parse(words []string) ([]string, error) {
	on := map[string]bool{}
	for _, word := range words {
		name, off := strings.CutPrefix(word, "-")
		names := []string{name}
		switch {
		case name == AllEndpoints, name == Defaults && !off:
			names = endpoints.Controllers()
		case !slices.Contains(Names(), name):
			return nil, fmt.Errorf("--controllers: unknown controller %q; want *, %s or %s, or one of them after a minus", word,
				AllEndpoints, strings.Join(Names(), ", "))
		}
		for _, name := range names {
			on[name] = !off
		}
	}
	chosen := slices.DeleteFunc(Names(), func(name string) bool { return !on[name] })
	if len(chosen) == 0 {
		return nil, errors.New("--controllers leaves no controller to run")
	}
	return chosen, nil
}
