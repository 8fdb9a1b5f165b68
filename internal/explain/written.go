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

// written compares the Endpoints and EndpointSlices of a Service with a selector with what they should be.
func (r *Report) written(w *World) {
	kept := keptBy(w.Slices, membership.SliceManagedBy)
	var members []membership.Member
	w.withTopology(func(zones *membership.Topology) {
		members = membership.OfPods(w.Service, w.Pods, zones.Zone)
		membership.AddHints(w.Service, members, zones, kept)
	})
	if w.LastError != "" {
		r.problem(StageEndpoints, "The controller could not write what it should: "+w.LastError)
	}
	r.endpoints(w, members)
	r.slices(w, membership.PlanSlices(w.Service, members, kept), "Pods")
}

func (w *World) withTopology(f func(*membership.Topology)) {
	if w.Topology != nil {
		w.Topology(f)
		return
	}
	zones := membership.NewTopology()
	for _, n := range w.Nodes {
		zones.Set(n)
	}
	f(zones)
}

func keptBy(all []*discovery.EndpointSlice, by string) (list []*discovery.EndpointSlice) {
	for _, s := range all {
		if s.Labels[discovery.LabelManagedBy] == by {
			list = append(list, s)
		}
	}
	return list
}

func (r *Report) endpoints(w *World, members []membership.Member) {
	want, _ := membership.Subsets(w.Service, members)
	if w.Endpoints == nil {
		r.problem(StageEndpoints, fmt.Sprintf("There is no Endpoints object %s: does the endpoints controller run?",
			w.Service.Name))
		return
	}
	line := endpointsLine(w.Endpoints)
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

// spellSubsets lists every address with every port, and what it is.
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

// slices tells of every EndpointSlice, and what plan, which would make them right, finds wrong.
func (r *Report) slices(w *World, plan membership.Plan, from string) {
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
	if len(plan.Create) > 0 {
		var lacks []string
		for _, s := range plan.Create {
			lacks = append(lacks, spellSlice(s)...)
		}
		if len(lacks) == 0 {
			lacks = []string{"nobody, which is to be said, too"}
		}
		r.problem(StageSlices, fmt.Sprintf("No EndpointSlice tells of %s, of its %s: does the controller that keeps them "+
			"run?", few(lacks), from))
	}
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
		if e.Conditions.Ready == nil || *e.Conditions.Ready {
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

// writer is who wrote an object last, and when, as far as the API server notes it.
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
