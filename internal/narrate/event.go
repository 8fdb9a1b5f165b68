package narrate

import (
	"fmt"
	"math/bits"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// Event describes a Warning. Other events repeat what the objects show, and give no line. A Warning that continues gets
// a line again each time its count has doubled. before is nil if the event is new; after is never nil.
func Event(before, after *v1.Event) string {
	if after.Type != v1.EventTypeWarning || !worthALine(before, after) {
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

// worthALine reports whether the event is new or its count has passed a power of two.
func worthALine(before, after *v1.Event) bool {
	return before == nil || bits.Len32(uint32(count(after))) > bits.Len32(uint32(count(before)))
}

// count is the number of times an event happened, in either of the two fields that count it.
func count(e *v1.Event) int32 {
	n := e.Count
	if e.Series != nil {
		n = max(n, e.Series.Count)
	}
	return max(n, 1)
}
