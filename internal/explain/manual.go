package explain

import (
	"cmp"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
)

// manual reports the addresses of a Service without a selector, and the slices that are made from them.
func (r *Report) manual(w *Snapshot) {
	for _, e := range w.Decision.Events {
		if e.Reason() == membership.EventInvalidAnnotation {
			r.problem(StageService, e.Sentence()+".")
		}
	}
	for _, a := range w.Decision.Addresses {
		r.Addresses = append(r.Addresses, addressLine(w, a))
	}
	r.addressProblems(w)
	if membership.Mirrored(w.Endpoints, w.Service) {
		r.Objects = append(r.Objects, endpointsLine(w.Endpoints))
	}
	r.slices(w, "Endpoints")
	if len(r.Addresses) == 0 {
		r.noAddress(w)
	}
}

func addressLine(w *Snapshot, a membership.Address) AddressLine {
	line := AddressLine{Address: a.Written.String(), Ready: a.Ready, Reason: string(a.Why), Sentence: a.Why.Sentence(),
		From: strings.ToLower(a.From.Kind) + "/" + a.From.Name}
	if a.From.Kind == membership.KindService {
		line.From = annotations.Backends
	}
	if a.Addr != a.Written {
		line.Address += " → " + a.Addr.String()
	}
	for _, p := range a.Ports {
		line.Ports = append(line.Ports, int(p.Number))
	}
	if a.Finding.State == membership.Down {
		line.Cause = a.Finding.Cause
		if !a.Finding.Since.IsZero() {
			line.Since = &a.Finding.Since
		}
	}
	if w.Lookups.Pods.At != nil {
		for _, pod := range w.Lookups.Pods.At(a.Addr) {
			line.Pod = pod.Namespace + "/" + pod.Name
		}
	}
	return line
}

func (r *Report) addressProblems(w *Snapshot) {
	var down []string
	refused, allDown := 0, false
	for _, a := range r.Addresses {
		switch membership.Reason(a.Reason) { // others: a problem only if the address is not ready, which is counted below
		case membership.CheckFailed, membership.AllDown:
			allDown = allDown || membership.Reason(a.Reason) == membership.AllDown
			text := a.Address
			if a.Cause != "" {
				text += " (" + a.Cause + ")"
			}
			down = append(down, text)
		}
		if !a.Ready {
			refused++
		}
		if namespace, _, ok := strings.Cut(a.Pod, "/"); ok && namespace != w.Service.Namespace {
			r.problem(StageAddresses, fmt.Sprintf("%s is the address of Pod %s, of another namespace (CVE-2021-25740).",
				a.Address, a.Pod))
		}
	}
	switch {
	case len(down) == 0 && refused > 0 && refused == len(r.Addresses):
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: %s, and none as ready.", plural(refused, "address is written",
			"addresses are written")))
	case len(down) == 0:
	case allDown:
		r.problem(StageAddresses, fmt.Sprintf("No address answers its health check: %s. Connections are sent to all of "+
			"them all the same.", few(down)))
	case len(down) < len(r.Addresses):
		r.note(fmt.Sprintf("no connections are sent to %s", few(down)))
	default:
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: no address answers its health check, and "+
			"viaduct.dev/when-all-down is refuse: %s.", few(down)))
	}
}

func (r *Report) noAddress(w *Snapshot) {
	name := w.Service.Name
	switch {
	case w.Service.Annotations[annotations.Backends] != "":
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: the names of viaduct.dev/backends stand for no address%s.",
			lastMessage(w.Events, "BackendsNotResolved")))
	case w.Endpoints == nil:
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: the Service has no selector, and there are no Endpoints "+
			"named %s.", name))
	default:
		r.problem(StageAddresses, fmt.Sprintf("No endpoints: the Service has no selector, and the Endpoints %s have no "+
			"address that counts.", name))
	}
}

// lastMessage returns the message of the latest event with a reason, in brackets.
func lastMessage(events []*v1.Event, reason string) string {
	var last *v1.Event
	for _, e := range events {
		if e.Reason == reason && (last == nil || cmp.Compare(e.LastTimestamp.UnixNano(), last.LastTimestamp.UnixNano()) > 0) {
			last = e
		}
	}
	if last == nil {
		return ""
	}
	return " (" + last.Message + ")"
}
