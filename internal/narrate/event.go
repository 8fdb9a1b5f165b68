package narrate

import (
	"fmt"
	"math/bits"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// Event says what a Warning is about; other events repeat what the objects themselves tell. One that goes on is told
// again only when it has happened twice as often as last time. before is nil when it is new; after is never nil.
func Event(before, after *v1.Event) string {
	if after.Type != v1.EventTypeWarning || !worthTelling(before, after) {
		return ""
	}
	about := after.InvolvedObject
	name := about.Name
	if about.Namespace != "" {
		name = about.Namespace + "/" + about.Name
	}
	line := fmt.Sprintf("warning: %s %s: %s: %s", strings.ToLower(about.Kind), name, after.Reason,
		strings.TrimSpace(after.Message))
	if n := count(after); n > 1 {
		line += fmt.Sprintf(" (%d times)", n)
	}
	return line
}

// worthTelling: count crossed a power of two.
func worthTelling(before, after *v1.Event) bool {
	return before == nil || bits.Len32(uint32(count(after))) > bits.Len32(uint32(count(before)))
}

// count is how often an event happened, by either of the two ways that events are counted.
func count(e *v1.Event) int32 {
	n := e.Count
	if e.Series != nil {
		n = max(n, e.Series.Count)
	}
	return max(n, 1)
}
