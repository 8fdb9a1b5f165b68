package routing

import (
	"slices"
	"time"
)

// slowStartSteps is in how many equal steps a backend gets its full weight. The first counts as soon as it is ready.
const slowStartSteps = 10

// At is f with the weights that the backends have at now: one that became ready less than f.SlowStart ago has a part of
// its weight, in ten equal steps from a tenth on. Weights count only relative to one another, so the others are
// multiplied by ten. The result has no slow start itself. f is returned as it is while no backend is in its slow start.
func (f Frontend) At(now time.Time) Frontend {
	if _, ramping := f.NextStep(now); !ramping {
		return f
	}
	f.Inside = f.Inside.at(now, f.SlowStart)
	f.Outside = f.Outside.at(now, f.SlowStart)
	f.SlowStart = 0
	return f
}

func (p Pool) at(now time.Time, window time.Duration) Pool {
	p.Backends = slices.Clone(p.Backends)
	for i := range p.Backends {
		b := &p.Backends[i]
		step, _ := b.step(now, window)
		b.Weight, b.ReadySince = b.Weight*uint32(step), 0
	}
	return p
}

// NextStep is when At next gives another result, if nothing else changes. False means never.
func (f Frontend) NextStep(now time.Time) (next time.Time, ramping bool) {
	if f.SlowStart <= 0 {
		return time.Time{}, false
	}
	for _, p := range []Pool{f.Inside, f.Outside} {
		for i := range p.Backends {
			if _, at := p.Backends[i].step(now, f.SlowStart); !at.IsZero() && (!ramping || at.Before(next)) {
				next, ramping = at, true
			}
		}
	}
	return next, ramping
}

// step is how many of the slowStartSteps steps of its weight b has at now, and when it gets the next; zero: it has all.
// A clock of this node that is behind the one that wrote ReadySince makes b start late, never stop.
func (b *Backend) step(now time.Time, window time.Duration) (step int, next time.Time) {
	if b.ReadySince == 0 {
		return slowStartSteps, time.Time{}
	}
	since := time.Unix(b.ReadySince, 0)
	passed := int(max(now.Sub(since), 0) / (window / slowStartSteps))
	if step = passed + 1; step >= slowStartSteps {
		return slowStartSteps, time.Time{}
	}
	return step, since.Add(time.Duration(step) * (window / slowStartSteps))
}
