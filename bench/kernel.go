package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A scale is the number of Services, and the number of endpoints of each.
type scale struct{ Services, Endpoints int }

// kernelResult is the result of the process in the network namespace.
type kernelResult struct {
	First    time.Duration   // from the objects in memory to the last transaction
	Longest  time.Duration   // the longest transaction
	Changes  []time.Duration // one endpoint's readiness, from the object to the kernel
	Restart  time.Duration   // a new backend over the existing table
	Written  int             // elements that the restart wrote
	Resident float64         // peak in MB, with the objects
}

// measureKernel programs the kernel of a network namespace of its own with many Services.
func measureKernel(ctx context.Context, b *bench) ([]row, error) {
	var rows []row
	for _, one := range []struct {
		scale
		first, change, restart string
	}{
		{scale{5000, 10}, "under 0.5 s, under 120 MB", "p50 under 1 ms, p99 under 5 ms", "under 1 s, 0"},
		{scale{44125, 1}, "under 3 s", "p99 under 20 ms", "reported"},
		{scale{5006, 50}, "under 3 s", "p99 under 20 ms", "reported"},
	} {
		s := scale{b.times(one.Services, 20), one.Endpoints}
		r, err := kernelChild(ctx, s, b.times(2000, 20))
		if errors.Is(err, syscall.EPERM) {
			return []row{{"the kernel's data path", "needs root", ""}}, nil
		}
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%d Services × %d in the kernel's table", s.Services, s.Endpoints)
		rows = append(rows,
			row{what + ", from API objects in memory", fmt.Sprintf("%.2f s, %.0f MB; longest transaction %s", r.First.Seconds(),
				r.Resident, ms(r.Longest)), one.first + ", transactions under 20 ms"},
			row{"one endpoint changed at that size, object to kernel", tail(r.Changes), one.change},
			row{"restart over the table that is there", fmt.Sprintf("%s, %d elements written", ms(r.Restart), r.Written),
				one.restart})
	}
	return rows, nil
}

// insideKernel is the argument that makes this program the process in the namespace.
const insideKernel = "-inside-kernel"

func kernelChild(ctx context.Context, s scale, changes int) (r kernelResult, err error) {
	if err = inNamespace(ctx, &r, insideKernel, fmt.Sprint(s.Services), fmt.Sprint(s.Endpoints),
		fmt.Sprint(changes)); err != nil {
		err = fmt.Errorf("programming %d Services: %w", s.Services, err)
	}
	return r, err
}

// inNamespace runs this program again in a network namespace of its own, and decodes its output into result.
func inNamespace(ctx context.Context, result any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	return json.Unmarshal(out.Bytes(), result)
}
