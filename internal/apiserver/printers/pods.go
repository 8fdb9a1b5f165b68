package printers

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeLost is the reason in the status of a Pod whose node is unreachable.
const nodeLost = "NodeLost"

// Pods returns the table of pods.
func Pods() Table[*v1.Pod] {
	return Table[*v1.Pod]{
		Columns: []metav1.TableColumnDefinition{
			Name(),
			Column("Ready", "How many of the Pod's containers are ready."),
			Column("Status", "What the Pod as a whole is doing."),
			Column("Restarts", "How often containers of the Pod were restarted, and when the last was."),
			Age(),
			Wide("IP", "The address of the Pod."),
			Wide("Node", "The node that the Pod runs on."),
			Wide("Nominated Node", "The node that is being cleared for the Pod."),
			Wide("Readiness Gates", "How many of the Pod's readiness gates are passed."),
		},
		Cells:      podCells,
		Conditions: podConditions,
	}
}

func podCells(pod *v1.Pod, now time.Time) []any {
	s := summarize(pod)
	ip := pod.Status.PodIP
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	return []any{
		pod.Name,
		fmt.Sprintf("%d/%d", s.ready, s.total),
		s.status,
		s.restarts.show(now),
		Since(pod.CreationTimestamp.Time, now),
		orElse(ip, none),
		orElse(pod.Spec.NodeName, none),
		orElse(pod.Status.NominatedNodeName, none),
		gatesPassed(pod),
	}
}

func podConditions(pod *v1.Pod) []metav1.TableRowCondition {
	var message string
	switch pod.Status.Phase {
	case v1.PodSucceeded:
		message = "The pod has completed successfully."
	case v1.PodFailed:
		message = "The pod failed."
	default:
		return nil
	}
	return []metav1.TableRowCondition{
		{Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(pod.Status.Phase), Message: message},
	}
}

func gatesPassed(pod *v1.Pod) string {
	if len(pod.Spec.ReadinessGates) == 0 {
		return none
	}
	passed := 0
	for _, gate := range pod.Spec.ReadinessGates {
		if hasCondition(pod, gate.ConditionType) {
			passed++
		}
	}
	return fmt.Sprintf("%d/%d", passed, len(pod.Spec.ReadinessGates))
}

func hasCondition(pod *v1.Pod, kind v1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c v1.PodCondition) bool {
		return c.Type == kind && c.Status == v1.ConditionTrue
	})
}

// restarts counts the restarts of containers, and keeps the end of the latest terminated one.
type restarts struct {
	count int
	last  time.Time
}

func (r *restarts) add(c *v1.ContainerStatus) {
	r.count += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && t.FinishedAt.After(r.last) {
		r.last = t.FinishedAt.Time
	}
}

func (r restarts) show(now time.Time) string {
	if r.count == 0 || r.last.IsZero() {
		return strconv.Itoa(r.count)
	}
	return fmt.Sprintf("%d (%s ago)", r.count, Since(r.last, now))
}

// summary is a Pod on one line.
type summary struct {
	status       string
	ready, total int
	restarts     restarts
}

// summarize returns the state of a Pod in one word. Later checks override earlier ones: the phase, then the init
// containers while they run or else the containers, and at last a deletion.
func summarize(pod *v1.Pod) summary {
	s := summary{status: phase(pod), total: len(pod.Spec.Containers)}
	sidecars := sidecarsOf(pod)
	s.total += len(sidecars)
	initializing := s.addInit(pod, sidecars)
	if !initializing || hasCondition(pod, v1.PodInitialized) {
		s.addContainers(pod, sidecars)
	}
	if pod.DeletionTimestamp == nil {
		return s
	}
	switch {
	case pod.Status.Reason == nodeLost:
		s.status = "Unknown"
	case pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed:
		s.status = "Terminating"
	}
	return s
}

func phase(pod *v1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodScheduled && c.Reason == v1.PodReasonSchedulingGated {
			return v1.PodReasonSchedulingGated
		}
	}
	return orElse(pod.Status.Reason, string(pod.Status.Phase))
}

// sidecarsOf returns the names of the init containers that keep running beside the containers.
func sidecarsOf(pod *v1.Pod) map[string]bool {
	names := map[string]bool{}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			names[c.Name] = true
		}
	}
	return names
}

// addInit reads the init containers and reports whether one of them is still running or failing.
func (s *summary) addInit(pod *v1.Pod, sidecars map[string]bool) bool {
	for i := range pod.Status.InitContainerStatuses {
		c := &pod.Status.InitContainerStatuses[i]
		s.restarts.add(c)
		ended := c.State.Terminated
		switch {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecars[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case ended != nil:
			s.status = "Init:" + ending(ended)
		case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != "PodInitializing":
			s.status = "Init:" + c.State.Waiting.Reason
		default:
			s.status = fmt.Sprintf("Init:%d/%d", i, len(pod.Spec.InitContainers))
		}
		return true // later init containers have not started
	}
	return false
}

// addContainers reads the containers. The first of several with a reason decides the status. The restarts of init
// containers that ended do not count any more, only those of sidecars.
func (s *summary) addContainers(pod *v1.Pod, sidecars map[string]bool) {
	s.restarts = restarts{}
	for i := range pod.Status.InitContainerStatuses {
		if c := &pod.Status.InitContainerStatuses[i]; sidecars[c.Name] {
			s.restarts.add(c)
		}
	}
	running := false
	for i := range slices.Backward(pod.Status.ContainerStatuses) {
		c := &pod.Status.ContainerStatuses[i]
		s.restarts.add(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.status = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.status = ending(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	// A container has completed while another one runs, so the Pod is not completed.
	if s.status == "Completed" && running {
		s.status = "NotReady"
		if hasCondition(pod, v1.PodReady) {
			s.status = "Running"
		}
	}
}

// ending describes how a container ended.
func ending(t *v1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}
