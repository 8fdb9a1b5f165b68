package annotations

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The annotations that say how connections are balanced over the endpoints of a Service: docs/balancing.md.
const (
	// Policy is on a Service: one of Policies.
	Policy = Prefix + "policy"
	// SlowStart is on a Service: the time over which an endpoint that has just become ready gets its full share, from
	// MinSlowStart to MaxSlowStart.
	SlowStart = Prefix + "slow-start"
	// Weight is on a Pod, on Endpoints or on an EndpointSlice: the weight of each of its addresses, from 0 to MaxWeight.
	Weight = Prefix + "weight"
	// Weights is on Endpoints or on an EndpointSlice: the weights of single addresses, as address=weight, separated by
	// commas. It takes precedence over Weight. The controller writes it on the slices of Pods.
	Weights = Prefix + "weights"
	// ReadySince is on an EndpointSlice that Viaduct wrote for a Service with SlowStart: when each ready address became
	// ready, as address=seconds of the Unix clock, separated by commas.
	ReadySince = Prefix + "ready-since"
)

// The values of Policy.
const (
	Random           = "random"
	RoundRobin       = "round-robin"
	SourceHash       = "source-hash"
	LeastConnections = "least-connections"
)

// The bounds of weights and of SlowStart, and the weight of an address without a weight.
const (
	MaxWeight     = 1000
	DefaultWeight = 1
	MinSlowStart  = time.Second
	MaxSlowStart  = time.Hour
)

// Policies lists the values of Policy, the default first.
func Policies() []string { return []string{Random, RoundRobin, SourceHash, LeastConnections} }

// Balancing is what the annotations of a Service say about the choice among its endpoints.
type Balancing struct {
	Policy    string        // one of Policies
	SlowStart time.Duration // 0: a ready endpoint gets its full share at once
}

// BalancingOf parses the Policy and the SlowStart of a Service. A rejected value counts as not written.
func BalancingOf(svc *v1.Service) (b Balancing, errs field.ErrorList) {
	b.Policy = Random
	if value, ok := svc.Annotations[Policy]; ok {
		if slices.Contains(Policies(), value) {
			b.Policy = value
		} else {
			errs = append(errs, refuse(Policy, value, fmt.Errorf("must be one of %s", list(Policies()))))
		}
	}
	if value, ok := svc.Annotations[SlowStart]; ok {
		var err error
		if b.SlowStart, err = duration("the time", value, MinSlowStart, MaxSlowStart); err != nil {
			errs = append(errs, refuse(SlowStart, value, err))
		}
	}
	return b, errs
}

// PodWeight parses the Weight of a Pod. A rejected value counts as DefaultWeight.
func PodWeight(pod *v1.Pod) (uint32, field.ErrorList) {
	value, ok := pod.Annotations[Weight]
	if !ok {
		return DefaultWeight, nil
	}
	n, err := parseWeight(value)
	if err != nil {
		return DefaultWeight, field.ErrorList{refuse(Weight, value, err)}
	}
	return n, nil
}

// EndpointWeights are the weights of the addresses of one EndpointSlice.
type EndpointWeights struct {
	other  uint32 // the weight of an address that is not in single
	single map[netip.Addr]uint32
}

// Of returns the weight of an address, from 0 to MaxWeight.
func (w EndpointWeights) Of(a netip.Addr) uint32 {
	if n, ok := w.single[a]; ok {
		return n
	}
	return w.other
}

// SliceWeights parses the Weight and the Weights of an EndpointSlice. A rejected value counts as not written.
func SliceWeights(s *discovery.EndpointSlice) (w EndpointWeights, errs field.ErrorList) {
	w.other = DefaultWeight
	if value, ok := s.Annotations[Weight]; ok {
		if n, err := parseWeight(value); err != nil {
			errs = append(errs, refuse(Weight, value, err))
		} else {
			w.other = n
		}
	}
	if value, ok := s.Annotations[Weights]; ok {
		var err error
		if w.single, err = parseByAddress(value, parseWeight); err != nil {
			errs = append(errs, refuse(Weights, value, err))
		}
	}
	return w, errs
}

// FormatWeights returns the value of Weights, sorted by address: "" for none.
func FormatWeights(weights map[netip.Addr]uint32) string {
	return formatByAddress(weights, func(n uint32) string { return strconv.FormatUint(uint64(n), 10) })
}

// SliceReadySince parses the ReadySince of an EndpointSlice, in seconds of the Unix clock. It returns nil if there is
// none or if it cannot be parsed.
func SliceReadySince(s *discovery.EndpointSlice) map[netip.Addr]int64 {
	value, ok := s.Annotations[ReadySince]
	if !ok {
		return nil
	}
	since, err := parseByAddress(value, func(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) })
	if err != nil {
		return nil
	}
	return since
}

// FormatReadySince returns the value of ReadySince, sorted by address: "" for none.
func FormatReadySince(since map[netip.Addr]int64) string {
	return formatByAddress(since, func(n int64) string { return strconv.FormatInt(n, 10) })
}

func refuse(key, value string, err error) *field.Error {
	return field.Invalid(field.NewPath("metadata", "annotations").Key(key), value, err.Error())
}

func parseWeight(value string) (uint32, error) {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n > MaxWeight {
		return 0, fmt.Errorf("the weight %q must be a whole number from 0 to %d", value, MaxWeight)
	}
	return uint32(n), nil
}

// parseByAddress parses a list of address=value, separated by commas.
func parseByAddress[T any](value string, parse func(string) (T, error)) (map[netip.Addr]T, error) {
	all := map[netip.Addr]T{}
	for word := range strings.SplitSeq(value, ",") {
		text, number, ok := strings.Cut(strings.TrimSpace(word), "=")
		addr, err := netip.ParseAddr(text)
		if !ok || err != nil {
			return nil, fmt.Errorf("%q must be of the form address=weight; several are separated by commas", word)
		}
		addr = addr.Unmap()
		if _, twice := all[addr]; twice {
			return nil, fmt.Errorf("the address %s is there twice", addr)
		}
		if all[addr], err = parse(number); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func formatByAddress[T any](values map[netip.Addr]T, spell func(T) string) string {
	var words []string
	for _, a := range slices.SortedFunc(maps.Keys(values), netip.Addr.Compare) {
		words = append(words, a.String()+"="+spell(values[a]))
	}
	return strings.Join(words, ",")
}

// checkBalancing returns the error of one balancing annotation.
func checkBalancing(key, value string) error {
	note := map[string]string{key: value}
	var errs field.ErrorList
	switch key {
	case Policy, SlowStart:
		svc := v1.Service{}
		svc.Annotations = note
		_, errs = BalancingOf(&svc)
	case Weight, Weights:
		s := discovery.EndpointSlice{}
		s.Annotations = note
		_, errs = SliceWeights(&s)
	}
	if len(errs) > 0 {
		return errors.New(errs[0].Detail)
	}
	return nil
}

// OfPod returns the errors in the annotations of a Pod. Unknown keys are ignored.
func OfPod(pod *v1.Pod) field.ErrorList {
	_, errs := PodWeight(pod)
	return errs
}
