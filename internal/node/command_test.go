package node

import (
	"os"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c) S 7 40 39 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1000 1 0"
	got, err := parseStat(line)
	if want := (procStat{PID: 42, Group: 40, Session: 39, Start: 777}); err != nil || got != want {
		t.Errorf("parsed %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42", "42 (a) S", "x (a) S 7 40 39 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 777",
		"42 (a) S 7 x 39 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 777"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

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

func TestCredentialFor(t *testing.T) {
	id := func(n int64) *int64 { return &n }
	yes := true
	pod := func(uid, gid *int64) *v1.Pod {
		return &v1.Pod{Spec: v1.PodSpec{SecurityContext: &v1.PodSecurityContext{RunAsUser: uid, RunAsGroup: gid}}}
	}
	own := func(uid, gid *int64) *v1.Container {
		return &v1.Container{SecurityContext: &v1.SecurityContext{RunAsUser: uid, RunAsGroup: gid}}
	}
	for _, tt := range []struct {
		name     string
		pod      *v1.Pod
		c        *v1.Container
		fallback *credential
		me       uint32
		want     *credential // uid and gid only
		fails    bool
	}{
		{name: "nothing said", pod: &v1.Pod{}, c: &v1.Container{}},
		{name: "the default", pod: &v1.Pod{}, c: &v1.Container{}, fallback: &credential{uid: 7001, gid: 7002},
			want: &credential{uid: 7001, gid: 7002}},
		{name: "the pod's", pod: pod(id(7003), id(7004)), c: &v1.Container{}, fallback: &credential{uid: 7001},
			want: &credential{uid: 7003, gid: 7004}},
		{name: "the container's over the pod's", pod: pod(id(7003), id(7004)), c: own(id(7005), nil),
			want: &credential{uid: 7005, gid: 7004}},
		{name: "a user without a group", pod: pod(id(7003), nil), c: &v1.Container{}, want: &credential{uid: 7003,
			gid: 7003}},
		{name: "only a group", pod: pod(nil, id(7004)), c: &v1.Container{}, want: &credential{uid: 0, gid: 7004}},
		{name: "not root: another user", pod: pod(id(7003), nil), c: &v1.Container{}, me: 7009, fails: true},
		{name: "not root: oneself", pod: pod(id(7009), id(int64(os.Getgid()))), c: &v1.Container{}, me: 7009},
		{name: "runAsNonRoot", pod: &v1.Pod{}, c: &v1.Container{SecurityContext: &v1.SecurityContext{RunAsNonRoot: &yes}},
			fails: true},
	} {
		got, err := credentialFor(tt.pod, tt.c, tt.fallback, tt.me)
		if (err != nil) != tt.fails || (got == nil) != (tt.want == nil) || got != nil && (got.uid != tt.want.uid ||
			got.gid != tt.want.gid) {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (a) b (c) S 7 40 39 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1000 1 0")
	f.Add("1 () Z")
	f.Add(")")
	f.Fuzz(func(t *testing.T, line string) {
		if s, err := parseStat(line); err != nil && s.Start != 0 {
			t.Errorf("%q: an error and a start time: %+v, %v", line, s, err)
		}
	})
}
