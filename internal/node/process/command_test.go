package process

import "testing"

func TestFindProgram(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spec  commandSpec
		found string
	}{
		{"in PATH", commandSpec{Argv: []string{"sh"}, Path: "/nowhere:relative:/bin"}, "/bin/sh"},
		{"with its path", commandSpec{Argv: []string{"/bin/sh"}}, "/bin/sh"},
		{"relative to the directory", commandSpec{Argv: []string{"bin/sh"}, Dir: "/"}, "/bin/sh"},
		{"viaduct itself", commandSpec{Argv: []string{"viaduct"}, Path: "/nowhere", Self: "/opt/me"}, "/opt/me"},
		{"not there", commandSpec{Argv: []string{"sh"}, Path: "/nowhere"}, ""},
		{"not executable", commandSpec{Argv: []string{"/etc/passwd"}}, ""},
		{"a directory", commandSpec{Argv: []string{"/etc"}}, ""},
	} {
		got, err := tt.spec.find()
		if (err == nil) != (tt.found != "") || err == nil && got != tt.found {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.found)
		}
	}
}
