package nft_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
)

func TestConformance(t *testing.T) {
	proxytest.RunKernel(t, func(*testing.T) (proxy.Backend, error) {
		return nft.New(nft.Options{Pods: proxytest.PodRanges()})
	})
}

// TestConformanceWithoutPrivilege runs the suite in a user namespace, as somebody who is nobody outside of it: nothing
// may need more than CAP_NET_ADMIN in the network namespace at work.
func TestConformanceWithoutPrivilege(t *testing.T) {
	const nobody = 65534
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestConformance$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		Credential:  &syscall.Credential{NoSetGroups: true},
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.UidMappings[0].HostID = os.Geteuid()
		cmd.SysProcAttr.GidMappings[0].HostID = os.Getegid()
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EACCES) {
		t.Skipf("needs a kernel that lets everybody make user namespaces (user.max_user_namespaces): %v", err)
	}
	if err != nil || strings.Contains(string(out), "--- SKIP") { // there is all the privilege that the suite may need
		t.Errorf("%v\n%s", err, out)
	}
}
