// Package annotations parses Viaduct's annotations on Services, Endpoints and EndpointSlices: how hand-written
// addresses are checked, what happens to connections when no address answers, and where addresses come from. It parses
// and rejects; it must not act.
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

// Prefix is the prefix of all annotation keys here.
const Prefix = "viaduct.dev/"

// The annotations that people write.
const (
	// On a Service without a selector, its Endpoints or its EndpointSlices; see ParseCheck.
	HealthCheck = Prefix + "health-check"
	WhenAllDown = Prefix + "when-all-down" // on the same objects: UseAll or Refuse
	Backends    = Prefix + "backends"      // on a Service without a selector; see ParseBackends
	Follow      = Prefix + "follow"        // on a Service without a selector or on its Endpoints: "true" or "false"
)

// Shadows is on a shadow slice, an EndpointSlice that Viaduct made. Its value is the name of a hand-written
// EndpointSlice. The shadow slice repeats the endpoints of that slice, with the results of the health checks. A reader
// of both must use the shadow slice.
const Shadows = Prefix + "stands-for"

// Followed is on an EndpointSlice that Viaduct made. It lists the Pods for which the addresses of the Endpoints were
// written, as address=Pod, separated by commas.
const Followed = Prefix + "followed"

// HealthStatus is on an EndpointSlice that Viaduct made. It has the health check results of the addresses that are
// down, as a JSON object from the address to {"state", "since", "cause"}. It has at most 100 addresses, and at most 128
// bytes of each cause. See docs/health-checks.md.
const HealthStatus = Prefix + "health-status"

// What happens to connections when every address is down.
const (
	UseAll = "use-all" // every address is used: the check may be wrong, and a refused connection always fails
	Refuse = "refuse"  // connections are refused at once
)

// Settings are the parsed annotations of one object.
type Settings struct {
	Check    *Check // nil: the addresses are not checked
	AllDown  string // UseAll, Refuse, or "": not set
	Backends []Backend
	Follow   bool
	follows  bool // Follow was set
}

// Or fills the settings that w does not set with those of o. w belongs to the more general object: a Service before its
// Endpoints.
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

// carrier describes an object that has annotations.
type carrier struct {
	keys     []string
	selector bool // the object is a Service with a selector
}

// OfService parses the annotations of a Service. A rejected annotation counts as not written.
func OfService(svc *v1.Service) (Settings, field.ErrorList) {
	c := carrier{keys: []string{HealthCheck, WhenAllDown, Backends, Follow, Policy, SlowStart},
		selector: len(svc.Spec.Selector) > 0}
	w, errs := c.read(svc.Annotations)
	if len(w.Backends) > 0 {
		errs = append(errs, checkPorts(svc, &w)...)
	}
	return w, errs
}

// OfEndpoints parses the annotations of an Endpoints object.
func OfEndpoints(ep *v1.Endpoints) (Settings, field.ErrorList) {
	return carrier{keys: []string{HealthCheck, WhenAllDown, Follow, Weight, Weights}}.read(ep.Annotations)
}

// OfSlice parses the annotations of an EndpointSlice that a person wrote.
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

// ours returns the keys that Viaduct writes itself.
func ours() []string { return []string{Shadows, Followed, HealthStatus, ReadySince} }

// people returns the keys that people may write.
func (c carrier) people() []string {
	return slices.DeleteFunc(slices.Clone(c.keys), func(key string) bool { return slices.Contains(ours(), key) })
}

// take parses one annotation with a known key.
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

// meant suggests the known key that was probably meant; "" if no key is similar.
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
