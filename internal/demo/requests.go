package demo

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

// A requester sends each request on a new connection, because a proxy picks an endpoint for each connection.
type requester struct{ http http.Client }

func newRequester() *requester {
	return &requester{http: http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil,
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
	}}
}

// who returns the first line of the answer, which is the name and address of the server that answered.
func (r *requester) who(ctx context.Context, url string) (string, error) {
	body, err := r.do(ctx, http.MethodGet, url)
	line, _, _ := strings.Cut(body, "\n")
	return line, err
}

// do returns the whole answer. A status other than 200 is an error.
func (r *requester) do(ctx context.Context, method, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := r.http.Do(req)
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

// counts is the number of answers of each server.
type counts map[string]int

func (c counts) total() (sum int) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// concurrency is how many requests are sent at the same time.
const concurrency = 8

// many sends n requests and counts who answered. The first failure ends it.
func (r *requester) many(ctx context.Context, url string, n int) (counts, error) {
	var (
		left    atomic.Int64
		mu      sync.Mutex // guards total and failure
		total   = counts{}
		failure error
		workers sync.WaitGroup
	)
	left.Store(int64(n))
	worker := func() {
		mine := counts{}
		var err error
		for err == nil && left.Add(-1) >= 0 {
			var who string
			if who, err = r.who(ctx, url); err == nil {
				mine[who]++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for who, count := range mine {
			total[who] += count
		}
		if err != nil {
			left.Store(0)
			failure = errors.Join(failure, err)
		}
	}
	for range concurrency {
		workers.Go(worker)
	}
	workers.Wait()
	return total, failure
}

// table draws the counts, with one row for each server.
func (c counts) table() (rows []string) {
	sum := c.total()
	for _, who := range slices.Sorted(maps.Keys(c)) {
		share := float64(c[who]) / float64(sum)
		rows = append(rows, fmt.Sprintf("%-32s %6d  %4.1f %%  %s", who, c[who], 100*share,
			strings.Repeat("▪", int(share*40+0.5))))
	}
	return rows
}

// checkFair returns an error unless exactly want servers answered, each at least half of its fair share.
func (c counts) checkFair(want int) error {
	if len(c) != want {
		return fmt.Errorf("%d servers answered, want %d: %v", len(c), want, c)
	}
	sum := c.total()
	for _, who := range slices.Sorted(maps.Keys(c)) {
		if c[who]*want*2 < sum {
			return fmt.Errorf("%s answered %d of %d, less than half its share", who, c[who], sum)
		}
	}
	return nil
}
