package test

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// What the test of informers looks for is found where it is: a check that cannot fail checks nothing.
func TestHistoryFindsFaults(t *testing.T) {
	at := func(version, write string) *v1.Pod {
		return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", ResourceVersion: version,
			Annotations: map[string]string{writeNumber: write}}}
	}
	for _, c := range []struct {
		name string
		tell func(*history)
		want string
	}{
		{"nothing wrong", func(h *history) {
			h.OnAdd(at("10", "1"), true)
			h.OnUpdate(at("10", "1"), at("11", "2"))
			h.OnDelete(cache.DeletedFinalStateUnknown{Obj: at("11", "2")})
		}, ""},
		{"twice", func(h *history) { h.OnAdd(at("10", "1"), true); h.OnAdd(at("11", "2"), false) }, "is there as 10"},
		{"a gap", func(h *history) { h.OnAdd(at("10", "1"), true); h.OnUpdate(at("11", "2"), at("12", "3")) },
			"is not what was told before"},
		{"backwards", func(h *history) { h.OnAdd(at("11", "2"), true); h.OnUpdate(at("11", "2"), at("10", "1")) },
			"goes back"},
		{"gone before", func(h *history) { h.OnDelete(at("10", "1")) }, "was not there"},
		{"an older end", func(h *history) { h.OnAdd(at("11", "2"), true); h.OnDelete(at("10", "1")) }, "after 11"},
		{"a write of nobody", func(h *history) { h.OnAdd(at("10", "7"), true) }, "nobody wrote"},
		{"a version of nobody", func(h *history) { h.OnAdd(at("99", "1"), true) }, "became version 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := &chronicle{written: map[string]map[int]uint64{"pods/pod": {1: 10, 2: 11, 3: 12}}}
			h := &history{last: map[string]metav1.Object{}, seen: map[string][]version{}}
			c.tell(h)
			var found []string
			for _, fault := range h.faults {
				found = append(found, fault.Error())
			}
			for _, v := range h.seen["pod"] {
				if err := book.judge("pods/pod", v); err != nil {
					found = append(found, err.Error())
				}
			}
			if text := strings.Join(found, "; "); (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
				t.Errorf("it finds %q, want %q", text, c.want)
			}
		})
	}
}
