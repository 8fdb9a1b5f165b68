package node

import (
	"time"

	v1 "k8s.io/api/core/v1"
)

// A kind is the role of a container in the start of its Pod.
type kind int

const (
	mainContainer kind = iota
	initContainer      // runs to completion before the next one starts
	sidecar            // an init container with restartPolicy Always: runs beside the main ones
)

// A unit is one container, as input of the decisions below.
type unit struct {
	Kind kind
	record
}

// A plan says what to do now with the containers of one Pod, by their index.
type plan struct {
	Start       []int     // start now
	Waiting     []int     // start later, at their NotBefore
	Stop        []int     // sidecars that are no longer needed
	Wake        time.Time // when to decide again; zero: when something happens
	Initialized bool      // all init containers have completed
}

// due plans the start of unit i, now or at its NotBefore.
func (p *plan) due(i int, u *unit, now time.Time) {
	if !u.NotBefore.After(now) {
		p.Start = append(p.Start, i)
		return
	}
	p.Waiting = append(p.Waiting, i)
	if p.Wake.IsZero() || u.NotBefore.Before(p.Wake) {
		p.Wake = u.NotBefore
	}
}

// next makes the plan. units holds the init containers first, in their order. initialized is that of the plan before:
// init containers do not run again once all have completed.
func next(policy v1.RestartPolicy, units []*unit, initialized bool, now time.Time) plan {
	p := plan{Initialized: initialized}
	if allOver(policy, units) {
		for i, u := range units {
			if u.Kind == sidecar && u.Running != nil {
				p.Stop = append(p.Stop, i)
			}
		}
		return p
	}
	for i, u := range units {
		switch {
		case u.Running == nil && u.Kind == sidecar, u.Kind == initContainer && !initialized && !u.succeeded():
			if u.Running == nil {
				p.due(i, u, now)
			}
			if !initialized {
				return p
			}
		case u.Kind == sidecar && !u.Started && !initialized:
			return p
		case u.Kind == mainContainer:
			p.Initialized = true
			if u.Running == nil && u.wanted(policy) {
				p.due(i, u, now)
			}
		}
	}
	return p
}

// allOver reports whether no container of the Pod will run again: every main container has ended for good, or an init
// container has failed for good.
func allOver(policy v1.RestartPolicy, units []*unit) bool {
	over := true
	for _, u := range units {
		switch u.Kind { // others: a sidecar does not keep a Pod from its end
		case initContainer:
			if u.Running == nil && !u.succeeded() && !u.wanted(policy) {
				return true
			}
		case mainContainer:
			over = over && u.Running == nil && !u.wanted(policy)
		}
	}
	return over
}

// succeeded reports whether the last run ended by itself, with code 0.
func (u *unit) succeeded() bool {
	return u.Running == nil && u.Ended != nil && u.Ended.ExitCode == 0 && !u.Interrupted
}

// wanted reports whether a unit that does not run has to start (again).
func (u *unit) wanted(policy v1.RestartPolicy) bool {
	switch {
	case u.Ended == nil || u.Kind == sidecar:
		return true
	case policy == v1.RestartPolicyNever:
		return false
	case u.Kind == initContainer, policy == v1.RestartPolicyOnFailure:
		return !u.succeeded()
	}
	return true
}
