package process

import (
	"os"
	"testing"

	"viaduct/internal/node/runtime"
)

func TestCredentialFor(t *testing.T) {
	id := func(n int64) *int64 { return &n }
	for _, tt := range []struct {
		name     string
		asked    runtime.User
		fallback *credential
		me       uint32
		want     *credential // uid and gid only
		fails    bool
	}{
		{name: "nothing asked"},
		{name: "the default", fallback: &credential{uid: 7001, gid: 7002}, want: &credential{uid: 7001, gid: 7002}},
		{name: "a user and a group", asked: runtime.User{UID: id(7003), GID: id(7004)},
			fallback: &credential{uid: 7001}, want: &credential{uid: 7003, gid: 7004}},
		{name: "a user without a group", asked: runtime.User{UID: id(7003)}, want: &credential{uid: 7003, gid: 7003}},
		{name: "only a group", asked: runtime.User{GID: id(7004)}, want: &credential{uid: 0, gid: 7004}},
		{name: "not root: another user", asked: runtime.User{UID: id(7003)}, me: 7009, fails: true},
		{name: "not root: the same user", asked: runtime.User{UID: id(7009), GID: id(int64(os.Getgid()))}, me: 7009},
		{name: "runAsNonRoot", asked: runtime.User{NonRoot: true}, fails: true},
	} {
		got, err := credentialFor(tt.asked, tt.fallback, tt.me)
		if (err != nil) != tt.fails || (got == nil) != (tt.want == nil) || got != nil && (got.uid != tt.want.uid ||
			got.gid != tt.want.gid) {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}
