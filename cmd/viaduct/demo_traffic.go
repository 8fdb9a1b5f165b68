package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// visitor sends requests, each on a connection of its own: only then does a Service choose anew.
type visitor struct{ http http.Client }

func newVisitor() *visitor {
	return &visitor{http: http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil,
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
	}}
}

// ask returns the first line of the answer: the name and address of who answered.
func (v *visitor) ask(ctx context.Context, url string) (string, error) {
	body, err := v.do(ctx, http.MethodGet, url)
	line, _, _ := strings.Cut(body, "\n")
	return line, err
}

// do returns the whole answer; a status other than 200 is an error.
func (v *visitor) do(ctx context.Context, method, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := v.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(bufio.NewReader(resp.Body))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return string(body), err
}

// spread counts who answered.
type spread map[string]int

// visitMany sends n requests, some at once, and counts who answered; the first failure ends it.
func (v *visitor) visitMany(ctx context.Context, url string, n int) (spread, error) {
	const atOnce = 8
	var (
		left    atomic.Int64
		mu      sync.Mutex // guards total and failure
		total   = spread{}
		failure error
		workers sync.WaitGroup
	)
	left.Store(int64(n))
	for range atOnce {
		workers.Go(func() {
			mine := spread{}
			for left.Add(-1) >= 0 {
				who, err := v.ask(ctx, url)
				if err != nil {
					left.Store(0)
					mu.Lock()
					failure = errors.Join(failure, err)
					mu.Unlock()
					break
				}
				mine[who]++
			}
			mu.Lock()
			defer mu.Unlock()
			for who, count := range mine {
				total[who] += count
			}
		})
	}
	workers.Wait()
	return total, failure
}

// table draws the counts, a row for each who answered.
func (s spread) table() []string {
	sum := 0
	for _, n := range s {
		sum += n
	}
	var rows []string
	for _, who := range slices.Sorted(maps.Keys(s)) {
		share := float64(s[who]) / float64(sum)
		rows = append(rows, fmt.Sprintf("%-32s %6d  %4.1f %%  %s", who, s[who], 100*share,
			strings.Repeat("▪", int(share*40+0.5))))
	}
	return rows
}

// fair says what is wrong with a spread over want servers: each should have answered, and none less than half its
// share.
func (s spread) fair(want int) error {
	sum := 0
	for _, n := range s {
		sum += n
	}
	if len(s) != want {
		return fmt.Errorf("%d servers answered, want %d: %v", len(s), want, s)
	}
	for who, n := range s {
		if n*want*2 < sum {
			return fmt.Errorf("%s answered %d of %d, less than half its share", who, n, sum)
		}
	}
	return nil
}
