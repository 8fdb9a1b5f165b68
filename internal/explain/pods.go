package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"viaduct/internal/membership"
)

// selected reports the Pods that the selector selects, with the verdict on each.
func (r *Report) selected(w *Snapshot) {
	svc := w.Service
	var missing []string
	for _, pod := range sortedPods(w.Pods) {
		v := membership.Judge(svc, pod)
		if why := membership.WhyNot(svc, pod); why != "" {
			v = membership.Verdict{Why: why}
		}
		if v.Why == membership.NotSelected {
			continue
		}
		line := PodLine{Name: pod.Name, Listed: v.In, Ready: v.In && v.Ready, Reason: string(v.Why), Since: Since(pod, v.Why),
			Sentence: v.Why.Sentence()}
		if v.Why == membership.NotReady {
			line.Sentence += whyNotReady(pod)
		}
		if _, names := membership.ResolvePorts(svc, pod); len(names) > 0 {
			missing = append(missing, fmt.Sprintf("Pod %s has no container port named %s%s", pod.Name, quoted(names),
				portsThereAre(pod)))
		}
		r.Pods = append(r.Pods, line)
	}
	r.Misses = misses(svc.Spec.Selector, w.Pods, len(r.Pods) == 0)
	switch ready := r.ready(); {
	case len(r.Pods) == 0:
		r.noPodMatches(w)
	case ready == 0:
		r.problem(StagePods, fmt.Sprintf("No endpoints: %s the selector, and none gets connections: %s.",
			plural(len(r.Pods), "Pod matches", "Pods match"), r.whyNone(missing)))
	case len(missing) > 0:
		r.problem(StagePods, strings.Join(missing, "; ")+".")
	}
	if r.ready() > 0 {
		r.undeclared(w)
	}
}

func sortedPods(pods []*v1.Pod) []*v1.Pod {
	return slices.SortedFunc(slices.Values(pods), func(a, b *v1.Pod) int { return cmp.Compare(a.Name, b.Name) })
}

// ready returns the number of Pods that get connections.
func (r *Report) ready() (n int) {
	for _, p := range r.Pods {
		if p.Ready {
			n++
		}
	}
	return n
}

// noPodMatches reports why no Pod matches the selector.
func (r *Report) noPodMatches(w *Snapshot) {
	selector := labels.FormatLabels(w.Service.Spec.Selector)
	switch {
	case len(r.Misses) > 0:
		m := r.Misses[0]
		say := "say"
		if len(m.Pods) == 1 {
			say = "says"
		}
		r.problem(StageSelector, fmt.Sprintf("No endpoints: the selector says %s, %s %s %s.", selector, thePods(m.Pods), say,
			m.Why))
	case len(w.Elsewhere) > 0:
		where := map[string]int{}
		for _, pod := range w.Elsewhere {
			where[pod.Namespace]++
		}
		namespaces := slices.Sorted(maps.Keys(where))
		r.problem(StageSelector, fmt.Sprintf("No endpoints: no Pod of namespace %s has the labels %s; %s in namespace %s: "+
			"a Service selects only Pods of its own.",
			w.Service.Namespace, selector, plural(len(w.Elsewhere), "Pod with them is", "Pods with them are"),
			strings.Join(namespaces, ", ")))
	case len(w.Pods) == 0:
		r.problem(StageSelector, fmt.Sprintf("No endpoints: there is no Pod in namespace %s.", w.Service.Namespace))
	default:
		who := fmt.Sprintf("none of the %s of namespace %s has", plural(len(w.Pods), "Pod", "Pods"), w.Service.Namespace)
		if len(w.Pods) == 1 {
			who = fmt.Sprintf("the only Pod of namespace %s does not have", w.Service.Namespace)
		}
		r.problem(StageSelector, fmt.Sprintf("No endpoints: the selector says %s, but %s these labels.", selector, who))
	}
}

// whyNone summarizes why no Pod gets connections.
func (r *Report) whyNone(missing []string) string {
	if len(missing) > 0 {
		return missing[0]
	}
	count, example := map[string]int{}, map[string]PodLine{}
	for _, p := range r.Pods {
		if count[p.Reason]++; count[p.Reason] == 1 {
			example[p.Reason] = p
		}
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		e := example[reason]
		part := e.Name + " " + e.Sentence
		if n := count[reason]; n > 1 {
			part = fmt.Sprintf("%s and %d more: it %s", e.Name, n-1, e.Sentence)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// whyNotReady returns the cause from the Pod's container states and conditions, in words that follow "is not ready".
func whyNotReady(pod *v1.Pod) string {
	for _, s := range pod.Status.ContainerStatuses {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "":
			return fmt.Sprintf(": container %s waits (%s)", s.Name, s.State.Waiting.Reason)
		case s.State.Terminated != nil:
			return fmt.Sprintf(": container %s has ended with code %d", s.Name, s.State.Terminated.ExitCode)
		case !s.Ready && s.State.Running != nil:
			return fmt.Sprintf(": container %s runs, and its readiness probe has not succeeded", s.Name)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse {
			return ": it is on no node yet"
		}
	}
	return ""
}

// undeclared adds a note if no container declares the port of a numeric targetPort. This is no error, because declared
// ports are only documentation. But it often explains a refused connection.
func (r *Report) undeclared(w *Snapshot) {
	for _, sp := range w.Service.Spec.Ports {
		target := sp.TargetPort.IntVal
		if sp.TargetPort.StrVal != "" || target == 0 && sp.Port == 0 {
			continue
		}
		target = cmp.Or(target, sp.Port)
		for _, pod := range sortedPods(w.Pods) {
			if declared := declares(pod); membership.Judge(w.Service, pod).In && len(declared) > 0 && !slices.Contains(declared,
				target) {
				r.note(fmt.Sprintf("port %d leads to port %d of the Pods, and Pod %s declares only %s", sp.Port, target, pod.Name,
					numbers(declared)))
				break
			}
		}
	}
}

func declares(pod *v1.Pod) (ports []int32) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			ports = append(ports, p.ContainerPort)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// portsThereAre lists the declared ports of a Pod, in words that follow a list of missing ports.
func portsThereAre(pod *v1.Pod) string {
	var there []string
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name != "" {
				there = append(there, fmt.Sprintf("%q (%d)", p.Name, p.ContainerPort))
			} else {
				there = append(there, fmt.Sprintf("%d without a name", p.ContainerPort))
			}
		}
	}
	if len(there) == 0 {
		return ": none of its containers declares a port"
	}
	return "; there is " + strings.Join(there, ", ")
}

// Since returns when a Reason began to hold for a Pod, as far as the Pod records it.
func Since(pod *v1.Pod, why membership.Reason) *time.Time {
	switch why { // others: the Pod does not record since when they hold
	case membership.Ready, membership.NotReady, membership.PublishedNotReady:
		for _, cond := range pod.Status.Conditions {
			if cond.Type == v1.PodReady && !cond.LastTransitionTime.IsZero() {
				return &cond.LastTransitionTime.Time
			}
		}
	case membership.Terminating:
		told := pod.DeletionTimestamp.Time // the end of the grace period
		if grace := pod.DeletionGracePeriodSeconds; grace != nil {
			told = told.Add(-time.Duration(*grace) * time.Second)
		}
		return &told
	}
	return nil
}
