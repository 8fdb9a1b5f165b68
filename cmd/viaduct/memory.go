package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"viaduct/internal/supervisor"
)

const (
	// memoryLook is how often a process looks whether it has come to rest.
	memoryLook = 3 * time.Second
	// restingRate is the most that a resting process allocates between two looks, in bytes: heartbeats and a few requests.
	restingRate = 16 << 20
	// worthReturning is how much must have been allocated since memory was last returned for it to be worth a collection,
	// in bytes.
	worthReturning = 32 << 20
)

// lull tells from the total of what a process has allocated when it has come to rest after work. The collector alone
// leaves a process as large as its busiest moment made it, for minutes or for good.
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

// headroom is by how much the heap may outgrow what is alive in it before the next collection, in bytes, as long as it
// is small. Go's own rule, as much again as is alive, collects a small heap all the time, and leaves a large one full
// of holes.
const headroom = 128 << 20

// The bounds of what the collector is set to, in percent of what is alive.
const (
	leastPercent = 60
	mostPercent  = 400
)

// percentFor is what the collector should be set to with so many bytes alive.
func percentFor(alive uint64) int {
	return int(min(max(100*headroom/max(alive, 1), leastPercent), mostPercent))
}

// lean is the part that keeps the heap in proportion, and returns memory whenever the process has come to rest.
func lean(log *slog.Logger) supervisor.Component {
	return supervisor.Component{Name: "memory", Run: func(ctx context.Context) error {
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
		total, alive := heap()
		if os.Getenv("GOGC") == "" { // whoever set it knows better
			debug.SetGCPercent(percentFor(alive))
		}
		if !r.look(total) {
			continue
		}
		if err := returnMemory(); err != nil {
			log.Debug("returning memory", "err", err)
		}
	}
}

// heap tells how many bytes the process has allocated since its start, and how many of them the last collection found
// alive.
func heap() (total, alive uint64) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64(), sample[1].Value.Uint64()
}
