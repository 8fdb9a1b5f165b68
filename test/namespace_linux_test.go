package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What uses viaduct's default addresses runs in a network namespace of its own, so that a viaduct the developer has
// running is no matter. A new namespace has its loopback down; this test binary is run in it first, to bring it up.

// insideVariable tells this binary that it is to be that first process.
const insideVariable = "VIADUCT_TEST_INSIDE_NAMESPACE"

func insideNamespace() bool { return os.Getenv(insideVariable) != "" }

// runInside brings the loopback up and becomes the command. It only returns if that fails.
func runInside(command []string) int {
	err := loopbackUp()
	if err == nil {
		os.Unsetenv(insideVariable)
		err = syscall.Exec(command[0], command, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "in a network namespace of its own:", err)
	return 1
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// ownNetwork makes cmd run in a network namespace of its own. Whoever is not root gets a user namespace with it.
func ownNetwork(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{self, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = self
	cmd.Env = append(cmd.Env, insideVariable+"=1")
	cmd.SysProcAttr = namespaces()
}

func namespaces() *syscall.SysProcAttr {
	if os.Geteuid() == 0 {
		return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// canOwnNetwork says whether this host lets us make a network namespace.
func canOwnNetwork(t testing.TB) bool {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "true")
	ownNetwork(t, cmd)
	err := cmd.Run()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOSPC) ||
		errors.Is(err, unix.EACCES) {
		return false
	}
	if err != nil {
		t.Logf("a network namespace can be made, but not used: %v", err)
	}
	return err == nil
}
