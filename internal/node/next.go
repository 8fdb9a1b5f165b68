package node

import (
	"time"

	v1 "k8s.io/api/core/v1"
)

// A kind is the part a container plays in the start of its Pod.
type kind int

const (
	mainContainer kind = iota
	initContainer      // runs to its end before the next begins
	sidecar            // an init container with restartPolicy Always: runs on beside the main ones
)

// A unit is one container as the decisions below see it.
type unit struct {
	Kind kind
	record
}

// A plan is what to do now with the containers of one Pod, by their index.
type plan struct {
	Start       []int     // to be started now
	Waiting     []int     // to be started later, at their NotBefore
	Stop        []int     // sidecars that nobody needs any more
	Wake        time.Time // when to look again; zero: not before something happens
	Initialized bool      // all init containers have done their part
}

// due starts unit i, now or when its time has come.
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

// next decides, for units with the init containers first and in their order. initialized is what an earlier plan said:
// init containers do not run again once they are through.
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

// allOver tells whether nothing of the Pod will run again: every main container has ended for good, or an init
// container has failed for good.
func allOver(policy v1.RestartPolicy, units []*unit) bool {
	over := true
	for _, u := range units {
		switch u.Kind {
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

// succeeded tells whether the last run ended well, by itself.
func (u *unit) succeeded() bool {
	return u.Running == nil && u.Ended != nil && u.Ended.ExitCode == 0 && !u.Interrupted
}

// wanted tells whether a unit that does not run is to be started (again).
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
