package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// defaultPath is the PATH of a process where the agent itself has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A commandSpec is a command whose program has not been looked up yet.
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

// find looks the program up as the container would: in the container's own PATH, relative to its own directory.
func (s commandSpec) find() (string, error) {
	if len(s.Argv) == 0 {
		return "", errors.New("the command is empty")
	}
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

// hostVariables are the variables that every process gets, by name. Those of its container override them.
func hostVariables(self, home, hostname string) map[string]string {
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	if filepath.Base(self) == "viaduct" {
		path += ":" + filepath.Dir(self) // so that "sh -c 'viaduct echo'" works too
	}
	return map[string]string{"PATH": path, "HOME": home, "HOSTNAME": hostname}
}

// listed gives variables as NAME=value, sorted, so that the same inputs give the same bytes.
func listed(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
