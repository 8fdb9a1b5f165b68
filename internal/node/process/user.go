package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"viaduct/internal/node/runtime"
)

// A credential is the user and group a process runs as. nil means those of the agent.
type credential struct {
	uid, gid uint32
	home     string
}

func (c *credential) forKernel() *syscall.Credential {
	if c == nil {
		return nil
	}
	return &syscall.Credential{Uid: c.uid, Gid: c.gid}
}

// parseRunAs reads USER or USER:GROUP, each a name or a number. Empty means the agent's own user.
func parseRunAs(text string) (*credential, error) {
	if text == "" {
		return nil, nil
	}
	name, group, hasGroup := strings.Cut(text, ":")
	c, err := lookupUser(name)
	if err != nil {
		return nil, err
	}
	if !hasGroup {
		return c, nil
	}
	gid, err := strconv.ParseUint(group, 10, 31)
	if err != nil {
		g, lookupErr := user.LookupGroup(group)
		if lookupErr != nil {
			return nil, fmt.Errorf("group %q: %w", group, lookupErr)
		}
		gid, err = strconv.ParseUint(g.Gid, 10, 32)
	}
	c.gid = uint32(gid)
	return c, err
}

// lookupUser finds a user by name or number. A number needs no entry in the host's list of users; its group is then the
// same number.
func lookupUser(name string) (*credential, error) {
	if uid, err := strconv.ParseUint(name, 10, 31); err == nil {
		return userOfID(uint32(uid)), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	return userOfID(uint32(uid)), nil
}

func userOfID(uid uint32) *credential {
	c := &credential{uid: uid, gid: uid, home: "/"}
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		c.home = u.HomeDir
		if gid, err := strconv.ParseUint(u.Gid, 10, 32); err == nil {
			c.gid = uint32(gid)
		}
	}
	return c
}

// credentialFor decides as which user a container runs: the one it asks for, or else fallback (--run-as). me is the
// agent's own user: only root can run a process as another.
func credentialFor(asked runtime.User, fallback *credential, me uint32) (*credential, error) {
	chosen := credential{uid: me, gid: uint32(os.Getgid())}
	if fallback != nil {
		chosen = *fallback
	}
	if asked.UID != nil {
		chosen = *userOfID(uint32(*asked.UID))
	}
	if asked.GID != nil {
		chosen.gid = uint32(*asked.GID)
	}
	asItself := chosen.uid == me && chosen.gid == uint32(os.Getgid())
	switch {
	case asked.NonRoot && chosen.uid == 0:
		return nil, errors.New("runAsNonRoot is set, but the process would run as root: set runAsUser")
	case asItself:
		return nil, nil // with all the agent's groups
	case me != 0:
		return nil, fmt.Errorf("to run as user %d, group %d the agent must be root, but it is user %d", chosen.uid,
			chosen.gid, me)
	}
	if chosen.home == "" {
		chosen.home = "/"
	}
	return &chosen, nil
}
