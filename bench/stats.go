package main

import (
	"fmt"
	"slices"
	"time"
)

// quantile returns the q-th quantile (0 to 1) of d, by nearest rank.
func quantile(d []time.Duration, q float64) time.Duration {
	sorted := slices.Clone(d)
	slices.Sort(sorted)
	i := int(q*float64(len(sorted)-1) + 0.5)
	return sorted[i]
}

// ms returns d in milliseconds, with its significant digits.
func ms(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	}
	return fmt.Sprintf("%.2f ms", v)
}

// summary returns the median and the extremes of a few runs.
func summary(d []time.Duration) string {
	return fmt.Sprintf("median %s (%s to %s, %d runs)", ms(quantile(d, 0.5)), ms(slices.Min(d)), ms(slices.Max(d)), len(d))
}

// tail returns the median and the upper quantiles of many events.
func tail(d []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s (%d)", ms(quantile(d, 0.5)), ms(quantile(d, 0.99)), len(d))
}
