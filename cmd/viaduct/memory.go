package main

import (
	"context"
	"log/slog"
	"runtime/metrics"
	"time"
)

const (
	// memoryLook is how often a process looks whether it has come to rest.
	memoryLook = 3 * time.Second
	// restingRate is the most that a resting process allocates between two looks, in bytes: heartbeats and a few requests.
	restingRate = 16 << 20
	// worthReturning is how much must have been allocated since memory was last returned for it to be worth a collection, in bytes.
	worthReturning = 64 << 20
)

// lull tells from the total of what a process has allocated when it has come to rest after work. The collector alone leaves a process
// as large as its busiest moment made it, for minutes or for good.
type lull struct {
	last     uint64 // total at the last look
	returned uint64 // total when memory was last returned
}

// look says whether memory should be returned now, total bytes having been allocated since the start.
func (r *lull) look(total uint64) bool {
	resting := total-r.last < restingRate
	r.last = total
	if !resting || total-r.returned < worthReturning {
		return false
	}
	r.returned = total
	return true
}

// lean is the part that returns memory whenever the process has come to rest.
func lean(log *slog.Logger) part {
	return part{name: "memory", run: func(ctx context.Context) error {
		stayLean(ctx, log)
		return nil
	}}
}

func stayLean(ctx context.Context, log *slog.Logger) {
	var r lull
	tick := time.NewTicker(memoryLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !r.look(allocated()) {
			continue
		}
		if err := returnMemory(); err != nil {
			log.Debug("returning memory", "err", err)
		}
	}
}

// allocated is how many bytes the process has allocated since its start.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
