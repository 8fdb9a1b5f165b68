package membership

import (
	"fmt"
	"net/netip"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"viaduct/internal/annotations"
)

// An Event is a problem of a Service that its author should know. A Decision has the Event as long as the problem
// lasts. It is recorded once as an event of the API, and again when its Sentence changes.
type Event interface {
	Reason() EventReason
	About() ObjectKey // the object on which the event is recorded
	Sentence() string // in words, without a full stop
}

// An EventReason is the reason field of an event of the API.
type EventReason string

// The EventReasons of a Decision.
const (
	EventInvalidAnnotation   EventReason = "InvalidAnnotation"
	EventForeignPodAddress   EventReason = "ForeignPodAddress"
	EventAllEndpointsDown    EventReason = "AllEndpointsDown"
	EventBackendsNotResolved EventReason = "BackendsNotResolved"
)

// InvalidAnnotations are the annotations of one object that are refused. The API server of Viaduct rejects them; other
// API servers store them.
type InvalidAnnotations struct {
	Object ObjectKey
	Errors field.ErrorList
}

// Reason implements Event, as the following methods do.
func (InvalidAnnotations) Reason() EventReason { return EventInvalidAnnotation }

// About is the object with the annotations.
func (e InvalidAnnotations) About() ObjectKey { return e.Object }

// Sentence says what is wrong with each annotation.
func (e InvalidAnnotations) Sentence() string {
	return fmt.Sprintf("%v; it counts as not written", e.Errors.ToAggregate())
}

// ForeignAddresses are addresses in the Endpoints that belong to Pods of other namespaces (CVE-2021-25740).
type ForeignAddresses struct {
	Endpoints string // the name of the object
	Addresses []ForeignAddress
}

// A ForeignAddress is the address of a Pod of another namespace.
type ForeignAddress struct {
	Addr           netip.Addr
	Namespace, Pod string
}

// Reason implements Event.
func (ForeignAddresses) Reason() EventReason { return EventForeignPodAddress }

// About is the Endpoints object.
func (e ForeignAddresses) About() ObjectKey { return ObjectKey{KindEndpoints, e.Endpoints} }

// Sentence lists the addresses.
func (e ForeignAddresses) Sentence() string {
	var list []string
	for _, a := range e.Addresses {
		list = append(list, fmt.Sprintf("%s belongs to Pod %s/%s", a.Addr, a.Namespace, a.Pod))
	}
	return fmt.Sprintf("Addresses of other namespaces: %s (CVE-2021-25740)", strings.Join(list, ", "))
}

// AllEndpointsDown says that every address of some families is Down.
type AllEndpointsDown struct {
	Service  string
	Families []v1.IPFamily
	Refused  bool // connections are refused; else all addresses get them
}

// Reason implements Event.
func (AllEndpointsDown) Reason() EventReason { return EventAllEndpointsDown }

// About is the Service.
func (e AllEndpointsDown) About() ObjectKey { return ObjectKey{KindService, e.Service} }

// Sentence says what happens to connections.
func (e AllEndpointsDown) Sentence() string {
	what := fmt.Sprintf("connections are sent to all of them (%s: %s)", annotations.WhenAllDown, annotations.UseAll)
	if e.Refused {
		what = fmt.Sprintf("connections are refused (%s: %s)", annotations.WhenAllDown, annotations.Refuse)
	}
	return fmt.Sprintf("No address of family %v answers its health check: %s", e.Families, what)
}

// UnresolvedBackends are backends of viaduct.dev/backends that are not resolved as they should be.
type UnresolvedBackends struct {
	Service  string
	Problems []BackendProblem
}

// A BackendProblem is the problem of one backend. Exactly one of Err, Dropped and Unfit is set.
type BackendProblem struct {
	Host    string     // the name; "" if Addr is set
	Addr    netip.Addr // the address that is not used
	Kept    int        // with Err: the number of addresses of the last answer that are still used
	Err     string     // why the name is not resolved
	Dropped int        // the number of addresses over the limit
	Unfit   string     // the rule that Addr breaks, in words that follow "it"
}

func (p BackendProblem) String() string {
	switch {
	case p.Unfit != "":
		return fmt.Sprintf("%s is not used: it %s", p.Addr, p.Unfit)
	case p.Dropped > 0:
		return fmt.Sprintf("%s: %d addresses are past the limit and not used", p.Host, p.Dropped)
	case p.Kept > 0:
		return fmt.Sprintf("%s: %s; the last answer is kept, %d addresses", p.Host, p.Err, p.Kept)
	}
	return fmt.Sprintf("%s: %s; it has no address yet", p.Host, p.Err)
}

// Reason implements Event.
func (UnresolvedBackends) Reason() EventReason { return EventBackendsNotResolved }

// About is the Service.
func (e UnresolvedBackends) About() ObjectKey { return ObjectKey{KindService, e.Service} }

// Sentence lists the first five problems.
func (e UnresolvedBackends) Sentence() string {
	const shown = 5
	var list []string
	for _, p := range e.Problems[:min(len(e.Problems), shown)] {
		list = append(list, p.String())
	}
	if more := len(e.Problems) - shown; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, "; ")
}
