package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The size for which the goal is given.
const (
	settledServices = 10000
	settledPods     = 10 // per Service
)

// measureSettled starts the controllers against a server with many Services. The first start has to write all
// Endpoints. The second start has to write none.
func measureSettled(ctx context.Context, b *bench) ([]row, error) {
	dir, err := os.MkdirTemp("", "viaduct-bench-")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	services := b.times(settledServices, 20)
	if err := fillStore(ctx, data, services, settledPods); err != nil {
		return nil, err
	}
	u, err := startUp(b, serverOnly, data)
	if err != nil {
		return nil, err
	}
	rows, err := u.settledRows(ctx, b, services)
	if err := errors.Join(err, u.stop()); err != nil {
		return nil, err
	}
	return rows, os.RemoveAll(dir)
}

func (u *up) settledRows(ctx context.Context, b *bench, services int) ([]row, error) {
	if _, err := u.waitReady(ctx); err != nil {
		return nil, err
	}
	if err := u.connect(); err != nil {
		return nil, err
	}
	first, err := u.controller(ctx, b, services)
	if err != nil {
		return nil, err
	}
	again, err := u.controller(ctx, b, services)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("`viaduct controller` started for %d Services × %d Pods", services, settledPods)
	return []row{
		{what + ", until all Endpoints and slices are written", fmt.Sprintf("%.1f s, %d writes, %.0f MB",
			first.took.Seconds(), first.writes, first.mb), "reported"},
		{"the same, restarted: until every Service has been looked at", fmt.Sprintf("%.1f s, %d writes, %.0f MB",
			again.took.Seconds(), again.writes, again.mb), "under 5 s, 0 writes, under 400 MB"},
	}, nil
}

// start is the cost of one start of the controllers.
type start struct {
	took   time.Duration
	writes int     // Endpoints and EndpointSlices that were written
	mb     float64 // resident memory at the end of the start
}

// lookedAtAll is the log message of the controllers after they have looked at every Service that existed when they
// started.
const lookedAtAll = "synced every service"

func (u *up) controller(ctx context.Context, b *bench, services int) (start, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	since, err := u.version(ctx)
	if err != nil {
		return start{}, err
	}
	c := &up{log: u.dataDir + ".controller.log"}
	log, err := os.Create(c.log)
	if err != nil {
		return start{}, err
	}
	defer log.Close()
	// without the secure port, the controllers need no free port
	c.cmd = exec.Command(b.binary, "controller", "-v", "--secure-port", "0", "--data-dir", u.dataDir)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	began := time.Now()
	if err := c.cmd.Start(); err != nil {
		return start{}, err
	}
	err = c.awaitLog(ctx, lookedAtAll)
	s := start{took: time.Since(began)}
	if err == nil {
		s.mb, err = c.residentMB()
	}
	if err := errors.Join(err, c.stop()); err != nil {
		return start{}, err // the log file stays, because the error names it
	}
	s.writes, err = u.writtenSince(ctx, since)
	return s, err
}

func (u *up) awaitLog(ctx context.Context, text string) error {
	for tick := time.Tick(time.Millisecond); ; {
		log, err := os.ReadFile(u.log)
		if err != nil {
			return err
		}
		if strings.Contains(string(log), text) {
			return nil
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return fmt.Errorf("%s does not say %q: %w", u.log, text, ctx.Err())
		}
	}
}

// version returns the newest resourceVersion of the server.
func (u *up) version(ctx context.Context) (int64, error) {
	list, err := u.client.CoreV1().Endpoints(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(list.ResourceVersion, 10, 64)
}

// writtenSince counts the Endpoints and EndpointSlices of Services that were written after a resourceVersion.
func (u *up) writtenSince(ctx context.Context, since int64) (int, error) {
	endpoints, err := u.client.CoreV1().Endpoints(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	slices, err := u.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	var all []metav1.ObjectMeta
	for _, e := range endpoints.Items {
		all = append(all, e.ObjectMeta)
	}
	for _, s := range slices.Items {
		all = append(all, s.ObjectMeta)
	}
	n := 0
	for _, m := range all {
		version, err := strconv.ParseInt(m.ResourceVersion, 10, 64)
		if err != nil {
			return 0, err
		}
		if version > since {
			n++
		}
	}
	return n, nil
}
