package annotations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

type span struct{ from, to int }

// parseStatuses parses numbers and ranges from 100 to 599, as 200-299,401.
func parseStatuses(value string) ([]span, error) {
	var spans []span
	for part := range strings.SplitSeq(value, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 100 || to > 599 || from > to {
			return nil, fmt.Errorf("status %q must be a list of numbers and ranges from 100 to 599, as 200-299,401", value)
		}
		spans = append(spans, span{from, to})
	}
	return spans, nil
}

// Expects says whether an HTTP status is a good one.
func (c Check) Expects(status int) bool {
	spans, err := parseStatuses(c.Status)
	return err == nil && slices.ContainsFunc(spans, func(s span) bool { return s.from <= status && status <= s.to })
}
