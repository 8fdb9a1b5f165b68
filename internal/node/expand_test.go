package node

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestExpand(t *testing.T) {
	vars := environment{"A": "1", "B": "$(A)", "EMPTY": "", "ODD NAME": "odd"}
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{"$(A)", "1"},
		{"x$(A)y$(A)z", "x1y1z"},
		{"$(B)", "$(A)"}, // not looked at again
		{"$(EMPTY)|", "|"},
		{"$(NOPE)", "$(NOPE)"},
		{"$(NOPE)$(A)", "$(NOPE)1"},
		{"$$(A)", "$(A)"},
		{"$$$(A)", "$1"},
		{"$$$$(A)", "$$(A)"},
		{"$", "$"},
		{"$$", "$"},
		{"a$", "a$"},
		{"$A", "$A"},
		{"${A}", "${A}"},
		{"$(A", "$(A"},
		{"$(A $(A)", "$(A $(A)"}, // the name runs to the first bracket
		{"$(", "$("},
		{"$()", "$()"},
		{"$(A$$", "$(A$"},
		{"$(ODD NAME)", "odd"},
		{"$é$(A)", "$é1"},
	}
	for _, tt := range tests {
		if got := expand(tt.in, vars.lookup); got != tt.want {
			t.Errorf("expand(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"$(A)", "$$(A)", "$(A", "$$$", "$(NOPE)x$(A)", "$((A))", "\xff$\xfe("} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		none := func(string) (string, bool) { return "", false }
		if got, want := expand(s, none), strings.ReplaceAll(s, "$$", "$"); !strings.Contains(s, "$(") && got != want {
			t.Errorf("with no reference, expand(%q) = %q, want %q", s, got, want)
		}
		if doubled := strings.ReplaceAll(s, "$", "$$"); expand(doubled, none) != s {
			t.Errorf("doubling every $ of %q does not give it back: %q", s, expand(doubled, none))
		}
		vars := environment{"A": value}
		clean := strings.ReplaceAll(s, "$", "")
		if got := expand(clean+"$(A)"+clean, vars.lookup); got != clean+value+clean {
			t.Errorf("expand put %q in as %q", value, got)
		}
	})
}

func BenchmarkBuildEnvironment(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			in := inputs()
			for i := range n {
				in.Services = append(in.Services, service("shop", fmt.Sprintf("svc-%d", i), "10.0.0.9", v1.ServicePort{Name: "http",
					Port: 80}))
			}
			b.ReportAllocs()
			for b.Loop() {
				if env, err := buildEnvironment(in, &v1.Container{}); err != nil || len(env) < 8*n {
					b.Fatalf("%d variables, %v", len(env), err)
				}
			}
		})
	}
}
