package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/membership"
)

// written compares the Endpoints and EndpointSlices of a Service with a selector with the desired ones.
func (r *Report) written(w *Snapshot) {
	if w.LastError != "" {
		r.problem(StageEndpoints, "The controller could not write what it should: "+w.LastError)
	}
	r.endpoints(w)
	r.slices(w, "Pods")
}

func (r *Report) endpoints(w *Snapshot) {
	if w.Endpoints == nil {
		r.problem(StageEndpoints, fmt.Sprintf("There is no Endpoints object %s: does the endpoints controller run?",
			w.Service.Name))
		return
	}
	line, want := endpointsLine(w.Endpoints), w.Decision.Endpoints.Subsets
	if !membership.SameSubsets(w.Endpoints.Subsets, want) || !membership.ManagesEndpoints(w.Endpoints) {
		line.Wrong = cmp.Or(difference(spellSubsets(w.Endpoints.Subsets), spellSubsets(want)),
			"is not marked as the controller's")
		r.problem(StageEndpoints, fmt.Sprintf("The object %s %s%s: does the endpoints controller run?", line.Object,
			line.Wrong, lastWriter(line)))
	}
	r.Objects = append(r.Objects, line)
}

func endpointsLine(ep *v1.Endpoints) ObjectLine {
	line := ObjectLine{Object: "endpoints/" + ep.Name, KeptBy: "the endpoints controller"}
	if !membership.ManagesEndpoints(ep) {
		line.KeptBy = "a person"
	}
	for _, s := range ep.Subsets {
		line.Ready += len(s.Addresses)
		line.NotReady += len(s.NotReadyAddresses)
	}
	line.Writer, line.Written = writer(ep.ManagedFields)
	return line
}

// spellSubsets lists every address with every port, and marks the ones that are not ready.
func spellSubsets(subsets []v1.EndpointSubset) (list []string) {
	for _, m := range membership.OfEndpoints(subsets) {
		state := ""
		if !m.Ready {
			state = " (not ready)"
		}
		if len(m.Ports) == 0 {
			list = append(list, m.Addr.String()+state)
		}
		for _, p := range m.Ports {
			list = append(list, fmt.Sprintf("%s:%d%s", m.Addr, p.Number, state))
		}
	}
	return list
}

// slices reports every EndpointSlice, and the changes that the plans of the Decision would make to it.
func (r *Report) slices(w *Snapshot, from string) {
	var plan membership.Plan
	for _, p := range w.Decision.Slices {
		plan.Create, plan.Update, plan.Delete = append(plan.Create, p.Create...), append(plan.Update, p.Update...),
			append(plan.Delete, p.Delete...)
	}
	wrong := map[string]string{}
	for _, next := range plan.Update {
		was := w.Slices[slices.IndexFunc(w.Slices, func(s *discovery.EndpointSlice) bool { return s.Name == next.Name })]
		wrong[next.Name] = cmp.Or(difference(spellSlice(was), spellSlice(next)), "says something else about an endpoint "+
			"than it should, or has other labels")
	}
	for _, s := range plan.Delete {
		wrong[s.Name] = "should not be there"
	}
	for _, s := range sortedSlices(w.Slices) {
		line := sliceLine(s)
		line.Wrong = wrong[s.Name]
		if line.Wrong != "" {
			r.problem(StageSlices, fmt.Sprintf("The object %s %s%s: does the controller that keeps it run?", line.Object,
				line.Wrong, lastWriter(line)))
		}
		r.Objects = append(r.Objects, line)
	}
	r.lacking(plan.Create, from)
}

// lacking reports the slices that do not exist yet.
func (r *Report) lacking(create []*discovery.EndpointSlice, from string) {
	if len(create) == 0 {
		return
	}
	var lacks []string
	for _, s := range create {
		lacks = append(lacks, spellSlice(s)...)
	}
	what := "There is no empty EndpointSlice for this Service"
	if len(lacks) > 0 {
		what = fmt.Sprintf("No EndpointSlice lists %s, of its %s", few(lacks), from)
	}
	r.problem(StageSlices, what+": does the controller that keeps them run?")
}

func sortedSlices(list []*discovery.EndpointSlice) []*discovery.EndpointSlice {
	return slices.SortedFunc(slices.Values(list), func(a, b *discovery.EndpointSlice) int {
		return cmp.Compare(a.Name,
			b.Name)
	})
}

func sliceLine(s *discovery.EndpointSlice) ObjectLine {
	line := ObjectLine{Object: "endpointslice/" + s.Name, KeptBy: cmp.Or(s.Labels[discovery.LabelManagedBy], "a person")}
	for _, e := range s.Endpoints {
		if membership.IsReady(&e) {
			line.Ready++
		} else {
			line.NotReady++
		}
	}
	line.Writer, line.Written = writer(s.ManagedFields)
	return line
}

func spellSlice(s *discovery.EndpointSlice) (list []string) {
	for _, m := range membership.OfSlice(s) {
		state := ""
		switch {
		case m.Terminating:
			state = " (terminating)"
		case !m.Ready:
			state = " (not ready)"
		}
		if len(m.Ports) == 0 {
			list = append(list, m.Addr.String()+state)
		}
		for _, p := range m.Ports {
			list = append(list, fmt.Sprintf("%s:%d%s", m.Addr, p.Number, state))
		}
	}
	return list
}

// writer returns the client that wrote an object last, and the time, as far as the API server records them.
func writer(fields []metav1.ManagedFieldsEntry) (name string, at *time.Time) {
	for _, f := range fields {
		if f.Time != nil && (at == nil || f.Time.After(*at)) {
			name, at = f.Manager, &f.Time.Time
		}
	}
	return name, at
}

func lastWriter(line ObjectLine) string {
	if line.Writer == "" {
		return ""
	}
	return fmt.Sprintf(", last written by %s at %s", line.Writer, line.Written.UTC().Format(time.TimeOnly))
}
