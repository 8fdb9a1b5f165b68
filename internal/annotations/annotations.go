// Package annotations is the grammar of what people ask of Viaduct in the metadata of a Service, of Endpoints or of an
// EndpointSlice: how the addresses that they wrote are checked, what becomes of connections when none answers, and
// where addresses come from. It reads and refuses; it must not act.
package annotations

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Prefix begins the keys of all annotations here.
const Prefix = "viaduct.dev/"

// The annotations that people write.
const (
	// of a Service without a selector, its Endpoints or its EndpointSlices; see ParseCheck
	HealthCheck = Prefix + "health-check"
	WhenAllDown = Prefix + "when-all-down" // of the same: UseAll or Refuse
	Backends    = Prefix + "backends"      // of a Service without a selector; see ParseBackends
	Follow      = Prefix + "follow"        // of a Service without a selector or of its Endpoints: "true" or "false"
)

// Shadows is on an EndpointSlice that Viaduct made: the name of one that a person wrote, whose endpoints it repeats
// with what the checks found. Who reads both is to believe this one.
const Shadows = Prefix + "stands-for"

// Followed is on an EndpointSlice that Viaduct made: which Pods the addresses of the Endpoints were written for, as
// address=Pod, by commas.
const Followed = Prefix + "followed"

// HealthStatus is on an EndpointSlice that Viaduct made: what the health checks found of the addresses that are down,
// as a JSON object from the address to {"state", "since", "cause"}. It has at most 100 addresses, and 128 bytes of each
// cause. See docs/health-checks.md.
const HealthStatus = Prefix + "health-status"

// What becomes of connections when every address is down.
const (
	UseAll = "use-all" // every address is used: the check may be wrong, and refusing is certain to fail
	Refuse = "refuse"  // they are refused at once
)

// Settings are what the annotations of one object ask for.
type Settings struct {
	Check    *Check // nil: the addresses are not checked
	AllDown  string // UseAll, Refuse, or "": not said
	Backends []Backend
	Follow   bool
	follows  bool // Follow was said
}

// Or completes w by what another object asks for. The more general object comes first: a Service before its Endpoints.
func (w Settings) Or(o Settings) Settings {
	if w.Check == nil {
		w.Check = o.Check
	}
	w.AllDown = cmp.Or(w.AllDown, o.AllDown)
	if !w.follows {
		w.Follow, w.follows = o.Follow, o.follows
	}
	return w
}

// carrier is a kind of object that annotations are written on.
type carrier struct {
	keys     []string
	selector bool // it is a Service with a selector
}

// OfService reads those of a Service. What is refused counts as not written.
func OfService(svc *v1.Service) (Settings, field.ErrorList) {
	c := carrier{keys: []string{HealthCheck, WhenAllDown, Backends, Follow, Policy, SlowStart},
		selector: len(svc.Spec.Selector) > 0}
	w, errs := c.read(svc.Annotations)
	if len(w.Backends) > 0 {
		errs = append(errs, checkPorts(svc, &w)...)
	}
	return w, errs
}

// OfEndpoints reads those of an Endpoints object.
func OfEndpoints(ep *v1.Endpoints) (Settings, field.ErrorList) {
	return carrier{keys: []string{HealthCheck, WhenAllDown, Follow, Weight, Weights}}.read(ep.Annotations)
}

// OfSlice reads those of an EndpointSlice that a person wrote.
func OfSlice(s *discovery.EndpointSlice) (Settings, field.ErrorList) {
	return carrier{keys: append([]string{HealthCheck, WhenAllDown, Weight, Weights}, ours()...)}.read(s.Annotations)
}

func (c carrier) read(annotations map[string]string) (w Settings, errs field.ErrorList) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if !strings.HasPrefix(key, Prefix) {
			continue
		}
		path := field.NewPath("metadata", "annotations").Key(key)
		value := annotations[key]
		switch {
		case !slices.Contains(c.keys, key):
			errs = append(errs, field.Invalid(path, value, fmt.Sprintf("no such annotation is known here%s; there are %s",
				meant(key, c.keys), list(c.people()))))
		case c.selector && key != Policy && key != SlowStart:
			errs = append(errs, field.Invalid(path, value, "may only be set on a Service without a selector: Pods say for "+
				"themselves whether they are ready (readinessProbe)"))
		default:
			if err := w.take(key, value); err != nil {
				errs = append(errs, field.Invalid(path, value, err.Error()))
			}
		}
	}
	return w, errs
}

// ours are the keys that Viaduct writes itself.
func ours() []string { return []string{Shadows, Followed, HealthStatus, ReadySince} }

// people are the keys that people may write.
func (c carrier) people() []string {
	return slices.DeleteFunc(slices.Clone(c.keys), func(key string) bool { return slices.Contains(ours(), key) })
}

// take reads one annotation of a known key.
func (w *Settings) take(key, value string) (err error) {
	switch key {
	case HealthCheck:
		w.Check, err = ParseCheck(value)
	case WhenAllDown:
		if value != UseAll && value != Refuse {
			return fmt.Errorf("must be %s or %s", UseAll, Refuse)
		}
		w.AllDown = value
	case Backends:
		w.Backends, err = ParseBackends(value)
	case Follow:
		if value != "true" && value != "false" {
			return fmt.Errorf(`must be "true" or "false"`)
		}
		w.Follow, w.follows = value == "true", true
	default:
		err = checkBalancing(key, value)
	}
	return err
}

// meant is a hint at the key that was probably meant, or nothing.
func meant(key string, known []string) string {
	plain := func(s string) string { return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s)) }
	for _, k := range known {
		if plain(k) == plain(key) || plain(k)+"s" == plain(key) || plain(k) == plain(key)+"s" {
			return ": " + k + " may be meant"
		}
	}
	return ""
}

func list(words []string) string { return strings.Join(words, ", ") }
