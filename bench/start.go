package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measureStart starts the binary on an empty data directory, stops it, and starts it again.
func measureStart(ctx context.Context, b *bench) ([]row, error) {
	var cold, warm []time.Duration
	for range b.times(10, 1) {
		dir, err := os.MkdirTemp("", "viaduct-bench-")
		if err != nil {
			return nil, err
		}
		data := filepath.Join(dir, "data")
		c, err := timeStart(ctx, b, data)
		if err != nil {
			return nil, err
		}
		w, err := timeStart(ctx, b, data)
		if err != nil {
			return nil, err
		}
		cold, warm = append(cold, c), append(warm, w)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return []row{
		{"`viaduct up`, empty data directory, process start to `/readyz` ok", summary(cold), "under 500 ms"},
		{"the same, restarted", summary(warm), "under 500 ms"},
	}, nil
}

func timeStart(ctx context.Context, b *bench, data string) (time.Duration, error) {
	u, err := startUp(b, everything, data)
	if err != nil {
		return 0, err
	}
	took, err := u.waitReady(ctx)
	return took, errors.Join(err, u.stop())
}

// settle is how long a process stays idle before its memory is read.
const settle = 10 * time.Second

func measureMemory(ctx context.Context, b *bench) ([]row, error) {
	return with(ctx, b, func(u *up) ([]row, error) {
		memory, err := u.memoryWhenIdle(ctx, b)
		return []row{{"resident memory of `viaduct up`, idle", memory, "under 130 MB"}}, err
	})
}

// memoryWhenIdle leaves the process idle for a while, and then returns its resident memory.
func (u *up) memoryWhenIdle(ctx context.Context, b *bench) (string, error) {
	if !b.quick {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(settle):
		}
	}
	mb, err := u.residentMB()
	return fmt.Sprintf("%.0f MB", mb), err
}
