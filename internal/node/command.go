package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	v1 "k8s.io/api/core/v1"
)

// defaultPath is the PATH of a process where the agent itself has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A commandSpec is a command ready to be run, but not yet found.
type commandSpec struct {
	Argv []string
	Env  []string // complete
	Dir  string
	Path string // where to look for Argv[0]
	Self string // the viaduct binary, for an Argv[0] of "viaduct" that Path does not have
	User *credential
}

func (s commandSpec) command() (*exec.Cmd, error) {
	program, err := s.find()
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{Path: program, Args: s.Argv, Env: s.Env, Dir: s.Dir}, nil
}

// find looks the program up as the container would: in the PATH it was given, relative to its own directory.
func (s commandSpec) find() (string, error) {
	name := s.Argv[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.Dir, name)
		}
		return name, executable(name)
	}
	for _, dir := range filepath.SplitList(s.Path) {
		if candidate := filepath.Join(dir, name); filepath.IsAbs(candidate) && executable(candidate) == nil {
			return candidate, nil
		}
	}
	if name == "viaduct" && s.Self != "" {
		return s.Self, nil
	}
	return "", fmt.Errorf("%q: no such program in PATH", name)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%q: no such file", path)
	case err != nil:
		return err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%q: not an executable file", path)
	}
	return nil
}

// hostVariables is what a process gets besides what its Pod says, which overrides it.
func hostVariables(self string, home string, pod *v1.Pod) environment {
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	if filepath.Base(self) == "viaduct" {
		path += ":" + filepath.Dir(self) // so that "sh -c 'viaduct echo'" works too
	}
	return environment{"PATH": path, "HOME": home, "HOSTNAME": hostnameOf(pod)}
}

// A credential is whom a process runs as. nil means as the agent itself.
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

// parseRunAs reads USER or USER:GROUP, each a name or a number. Empty means nobody else.
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

// credentialFor decides whom container c runs as: its own securityContext, the Pod's, then the agent's default. me is
// the agent's own user: only root can run a process as somebody else.
func credentialFor(pod *v1.Pod, c *v1.Container, fallback *credential, me uint32) (*credential, error) {
	var uid, gid *int64
	var nonRoot *bool
	if sc := pod.Spec.SecurityContext; sc != nil {
		uid, gid, nonRoot = sc.RunAsUser, sc.RunAsGroup, sc.RunAsNonRoot
	}
	if sc := c.SecurityContext; sc != nil {
		uid, gid, nonRoot = or(sc.RunAsUser, uid), or(sc.RunAsGroup, gid), or(sc.RunAsNonRoot, nonRoot)
	}
	chosen := credential{uid: me, gid: uint32(os.Getgid())}
	if fallback != nil {
		chosen = *fallback
	}
	if uid != nil {
		chosen = *userOfID(uint32(*uid))
	}
	if gid != nil {
		chosen.gid = uint32(*gid)
	}
	asItself := chosen.uid == me && chosen.gid == uint32(os.Getgid())
	switch {
	case isTrue(nonRoot) && chosen.uid == 0:
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

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// A limitedBuffer keeps the first 10 KiB written to it.
type limitedBuffer struct {
	mu   sync.Mutex
	kept []byte // guarded by mu
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, p[:min(len(p), 10<<10-len(b.kept))]...)
	return len(p), nil
}

func (b *limitedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.kept)
}
