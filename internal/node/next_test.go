package node

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
)

func TestBackoff(t *testing.T) {
	const first = 10 * time.Second
	tests := []struct {
		name string
		ran  []time.Duration
		want []time.Duration
	}{
		{"doubles, after one that is free", []time.Duration{0, 0, 0, 0, 0, 0, 0, 0}, []time.Duration{0, 10, 20, 40, 80, 160,
			300, 300}},
		{"a long run forgets", []time.Duration{0, 0, 0, 600 * time.Second, 0}, []time.Duration{0, 10, 20, 0, 10}},
		{"a run that is not long enough does not", []time.Duration{0, 0, 599 * time.Second, 0}, []time.Duration{0, 10, 20,
			40}},
	}
	for _, tt := range tests {
		var b backoff
		for i, ran := range tt.ran {
			var wait time.Duration
			if wait, b = b.after(ran, first); wait != tt.want[i]*time.Second {
				t.Errorf("%s: wait %d is %v, want %v", tt.name, i, wait, tt.want[i]*time.Second)
			}
		}
	}
}

// The units of the tables below: how far a container has come.
func idle(k kind) *unit { return &unit{Kind: k, record: record{Name: "c"}} }

func runs(k kind) *unit {
	return &unit{Kind: k, record: record{Name: "c", Running: &v1.ContainerStateRunning{}, Started: true, Ready: true}}
}

func starting(k kind) *unit {
	u := runs(k)
	u.Started, u.Ready = false, false
	return u
}

func exited(k kind, code int32) *unit {
	return &unit{Kind: k, record: record{Name: "c", Ended: &v1.ContainerStateTerminated{ExitCode: code}}}
}

func interrupted(k kind, code int32) *unit {
	u := exited(k, code)
	u.Interrupted = true
	return u
}

func later(u *unit, at time.Time) *unit {
	u.NotBefore = at
	return u
}

func TestNext(t *testing.T) {
	at := time.Unix(1000, 0)
	soon, sooner := at.Add(20*time.Second), at.Add(10*time.Second)
	const always, onFailure, never = v1.RestartPolicyAlways, v1.RestartPolicyOnFailure, v1.RestartPolicyNever
	tests := []struct {
		name   string
		policy v1.RestartPolicy
		units  []*unit
		was    bool
		want   plan
	}{
		{"a new pod", always, []*unit{idle(0), idle(0)}, false, plan{Start: []int{0, 1}, Initialized: true}},
		{"all runs", always, []*unit{runs(0)}, true, plan{Initialized: true}},
		{"ended, Always", always, []*unit{exited(0, 0), runs(0)}, true, plan{Start: []int{0}, Initialized: true}},
		{"ended well, OnFailure", onFailure, []*unit{exited(0, 0), runs(0)}, true, plan{Initialized: true}},
		{"ended badly, OnFailure", onFailure, []*unit{exited(0, 1), runs(0)}, true, plan{Start: []int{0}, Initialized: true}},
		{"ended badly, Never", never, []*unit{exited(0, 1), runs(0)}, true, plan{Initialized: true}},
		{"interrupted with code 0, OnFailure", onFailure, []*unit{interrupted(0, 0)}, true,
			plan{Start: []int{0}, Initialized: true}},
		{"interrupted, Never", never, []*unit{interrupted(0, 0)}, true, plan{Initialized: true}},
		{"backing off: the earlier of two", always, []*unit{later(exited(0, 1), soon), later(exited(0, 1), sooner)}, true,
			plan{Waiting: []int{0, 1}, Wake: sooner, Initialized: true}},
		{"due exactly now", always, []*unit{later(exited(0, 1), at)}, true, plan{Start: []int{0}, Initialized: true}},
		{"init: the first only", always, []*unit{idle(initContainer), idle(initContainer), idle(0)}, false,
			plan{Start: []int{0}}},
		{"init: while it runs nothing else", always, []*unit{runs(initContainer), idle(initContainer), idle(0)}, false,
			plan{}},
		{"init: then the second", always, []*unit{exited(initContainer, 0), idle(initContainer), idle(0)}, false,
			plan{Start: []int{1}}},
		{"init: then the rest", always, []*unit{exited(initContainer, 0), idle(0)}, false,
			plan{Start: []int{1}, Initialized: true}},
		{"init failed: again", onFailure, []*unit{exited(initContainer, 1), idle(0)}, false, plan{Start: []int{0}}},
		{"init failed: later", always, []*unit{later(exited(initContainer, 1), soon), idle(0)}, false, plan{Waiting: []int{0},
			Wake: soon}},
		{"init failed, Never: over", never, []*unit{exited(initContainer, 1), runs(sidecar), idle(0)}, false,
			plan{Stop: []int{1}}},
		{"init interrupted: again", always, []*unit{interrupted(initContainer, 0), idle(0)}, false, plan{Start: []int{0}}},
		{"sidecar not yet started holds the rest", always, []*unit{starting(sidecar), idle(0)}, false, plan{}},
		{"sidecar started", always, []*unit{runs(sidecar), idle(initContainer), idle(0)}, false, plan{Start: []int{1}}},
		{"sidecar ended later: only it", never, []*unit{exited(sidecar, 0), runs(0)}, true,
			plan{Start: []int{0}, Initialized: true}},
		{"sidecar restarting does not hold the rest later", always, []*unit{starting(sidecar), exited(0, 1)}, true,
			plan{Start: []int{1}, Initialized: true}},
		{"all over: the sidecar goes", never, []*unit{runs(sidecar), exited(0, 0)}, true,
			plan{Stop: []int{0}, Initialized: true}},
		{"all over, sidecar gone", onFailure, []*unit{exited(sidecar, 143), exited(0, 0)}, true, plan{Initialized: true}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, next(tt.policy, tt.units, tt.was, at)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestPhase(t *testing.T) {
	const always, onFailure, never = v1.RestartPolicyAlways, v1.RestartPolicyOnFailure, v1.RestartPolicyNever
	tests := []struct {
		name        string
		policy      v1.RestartPolicy
		units       []*unit
		initialized bool
		want        v1.PodPhase
	}{
		{"new", always, []*unit{idle(0)}, false, v1.PodPending},
		{"one has not run yet", always, []*unit{runs(0), idle(0)}, true, v1.PodPending},
		{"initializing", always, []*unit{runs(initContainer), idle(0)}, false, v1.PodPending},
		{"init failed for good", never, []*unit{exited(initContainer, 1), idle(0)}, false, v1.PodFailed},
		{"runs", always, []*unit{runs(0)}, true, v1.PodRunning},
		{"ended, to be restarted", always, []*unit{exited(0, 1)}, true, v1.PodRunning},
		{"one of two ended for good", never, []*unit{exited(0, 1), runs(0)}, true, v1.PodRunning},
		{"all ended well", onFailure, []*unit{exited(initContainer, 0), runs(sidecar), exited(0, 0)}, true, v1.PodSucceeded},
		{"one ended badly", never, []*unit{exited(0, 0), exited(0, 1)}, true, v1.PodFailed},
		{"interrupted, may not run again", never, []*unit{interrupted(0, 0)}, true, v1.PodFailed},
	}
	for _, tt := range tests {
		if got := phaseOf(tt.policy, tt.units, tt.initialized); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
