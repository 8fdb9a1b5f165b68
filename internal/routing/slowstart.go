package routing

import (
	"slices"
	"time"
)

// slowStartSteps is the number of equal steps to the full weight of a backend. The first step begins when the backend
// becomes ready.
const slowStartSteps = 10

// At is f with the weights of the backends at the time now. A backend that became ready less than f.SlowStart ago has
// one to nine tenths of its weight. The result stores tenths: only the ratio of weights matters, so the weights of the
// other backends are multiplied by ten. The result itself has no slow start. If no backend is in its slow start, At
// returns f unchanged.
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

// NextStep is the next time at which the result of At changes, if f stays the same. False means never.
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

// step is the number of steps, up to slowStartSteps, that b has reached at the time now, and the time of the next step;
// the zero time means that b has its full weight. If the clock of this node is behind the clock of the controller that
// wrote ReadySince, b stays longer at its first step, but it always has a weight.
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
