package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// farthest is the largest distance of a near miss that is reported although other Pods are selected. Up to this
// distance a label looks misspelled.
const farthest = 3

// misses finds the Pods that selector nearly selects. It groups them by cause, the most likely cause first. With far, a
// Pod with exactly one wrong label of several counts, too, whatever its value.
func misses(selector map[string]string, pods []*v1.Pod, far bool) []NearMiss {
	byWhy := map[string][]string{}
	order := map[string]int{}
	for _, pod := range pods {
		if why, distance := miss(selector, pod.Labels); why != "" && (far || distance <= farthest) {
			byWhy[why] = append(byWhy[why], pod.Name)
			order[why] = distance
		}
	}
	var out []NearMiss
	for _, why := range slices.SortedFunc(maps.Keys(byWhy), func(a, b string) int {
		if order[a] != order[b] {
			return order[a] - order[b]
		}
		if len(byWhy[a]) != len(byWhy[b]) {
			return len(byWhy[b]) - len(byWhy[a])
		}
		return strings.Compare(a, b)
	}) {
		slices.Sort(byWhy[why])
		out = append(out, NearMiss{byWhy[why], why})
	}
	return out
}

// miss describes the label that keeps selector from selecting labels, in words that follow "the Pod says"; "" if this
// is no near miss. A smaller distance means a nearer miss.
func miss(selector, labels map[string]string) (why string, distance int) {
	var wrong []string
	right := 0
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		if got, ok := labels[key]; ok && got == selector[key] {
			right++
			continue
		}
		wrong = append(wrong, key)
	}
	if len(wrong) != 1 {
		return "", 0
	}
	key := wrong[0]
	want := selector[key]
	got, has := labels[key]
	switch {
	case has && strings.EqualFold(got, want):
		return fmt.Sprintf("%s=%s", key, got), 1
	case has && edits(got, want) <= max(1, len(want)/4):
		return fmt.Sprintf("%s=%s", key, got), 2
	case has && right > 0:
		return fmt.Sprintf("%s=%s", key, got), 4
	case has:
		return "", 0 // a single label with another value: an unrelated Pod
	}
	for _, other := range slices.Sorted(maps.Keys(labels)) {
		if labels[other] == want && (strings.EqualFold(other, key) || suffix(other) == suffix(key) ||
			edits(other, key) <= 2) {
			return fmt.Sprintf("%s=%s", other, labels[other]), 1
		}
	}
	for _, other := range slices.Sorted(maps.Keys(labels)) {
		if labels[other] == want && want != "true" && want != "" {
			return fmt.Sprintf("%s=%s", other, labels[other]), 3
		}
	}
	if right > 0 {
		return fmt.Sprintf("nothing about %s", key), 4
	}
	return "", 0
}

// suffix returns a label's key without its domain and without a prefix word: "name" for app.kubernetes.io/name, "app"
// for k8s-app.
func suffix(key string) string {
	if i := strings.LastIndexAny(key, "/-."); i >= 0 {
		return key[i+1:]
	}
	return key
}

// edits returns the number of letters to change, add or remove to turn a into b (Levenshtein distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
