package network_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/node/network"
)

// host runs f on a thread in a network namespace of its own, or skips the test without the privilege.
func host(t *testing.T, f func() error) {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and its namespace with it
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
			result <- err
			return
		}
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = errors.Join(netlink.LinkSetUp(lo), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		}
		if err == nil {
			err = f()
		}
		result <- err
	}()
	err := <-result
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs root, to make network namespaces: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pod runs f in a sandbox of n. The sandbox lasts until release is called.
func pod(n *network.Network, box network.Sandbox, f func() error) (release func(), err error) {
	result, end := make(chan error), make(chan struct{})
	ns, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET) // the namespace of the test's host
		if err == nil {
			err = n.Enter(box)
		}
		if err == nil && f != nil {
			err = f()
		}
		result <- err
		<-end
	}()
	return func() { close(end) }, <-result
}

// greet answers each connection with the client's address.
func greet(at string) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap())
			c.Close()
		}
	}()
	return nil
}

// ask returns the address that the server at to sees as the client's.
func ask(to string) (string, error) {
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	return string(got), err
}

func TestPods(t *testing.T) {
	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("10.244.0.2\tweb-0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ranges := []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24"), netip.MustParsePrefix("fd00:244::/64")}
	first := network.Sandbox{UID: "first", Hostname: "web-0", Hosts: hosts,
		Addrs: []netip.Addr{netip.MustParseAddr("10.244.0.2"), netip.MustParseAddr("fd00:244::2")}}
	second := network.Sandbox{UID: "second", Hostname: "web-1", Addrs: []netip.Addr{netip.MustParseAddr("10.244.0.3"),
		netip.MustParseAddr("fd00:244::3")}}
	host(t, func() error {
		outside, err := os.Hostname()
		if err != nil {
			return err
		}
		n, err := network.Open(network.Options{Pods: ranges, Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")}})
		if err != nil {
			return err
		}
		if _, err := network.Open(network.Options{Pods: ranges}); !errors.Is(err, network.ErrHeld) {
			t.Errorf("a second network: %v", err)
		}
		end1, err := pod(n, first, func() error {
			text, err := os.ReadFile("/etc/hosts")
			if name, _ := os.Hostname(); name != "web-0" || string(text) != "10.244.0.2\tweb-0\n" || err != nil {
				t.Errorf("in the pod: hostname %s, hosts %q, %v", name, text, err)
			}
			return greet(":8080")
		})
		if err != nil {
			return err
		}
		defer end1()
		end2, err := pod(n, second, func() error {
			if got, err := ask("10.244.0.2:8080"); got != "10.244.0.3" || err != nil {
				t.Errorf("a pod asks another: seen as %q, %v", got, err)
			}
			if got, err := ask("[fd00:244::2]:8080"); got != "fd00:244::3" || err != nil {
				t.Errorf("a pod asks another by IPv6: seen as %q, %v", got, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		defer end2()
		if got, err := ask("10.244.0.2:8080"); got != "10.244.0.1" || err != nil {
			t.Errorf("the host asks a pod: seen as %q, %v", got, err)
		}
		if name, _ := os.Hostname(); name != outside {
			t.Errorf("a pod renamed the host to %s", name)
		}
		hostPorts(t, n)
		return n.Close()
	})
}

// hostPorts tests that a port of the host leads to one Pod at a time, until it is withdrawn.
func hostPorts(t *testing.T, n *network.Network) {
	list := []network.HostPort{{Proto: unix.IPPROTO_TCP, Host: 9000, Pod: 8080,
		PodAddrs: []netip.Addr{netip.MustParseAddr("10.244.0.2"), netip.MustParseAddr("fd00:244::2")}}}
	if err := n.PublishPorts("first", list); err != nil {
		t.Error(err)
	}
	for _, at := range []string{"10.244.0.1:9000", "[fd00:244::1]:9000"} {
		if got, err := ask(at); err != nil {
			t.Errorf("%s: %q, %v", at, got, err)
		}
	}
	if err := n.PublishPorts("second", list); !errors.Is(err, network.ErrPortTaken) {
		t.Errorf("a port that another pod has: %v", err)
	}
	if repaired, err := n.Repair(); repaired || err != nil {
		t.Errorf("repairing what is whole: %v, %v", repaired, err)
	}
	for name, change := range map[string]func(*testing.T){"rules are gone": flushRules, "tables are gone": deleteTables} {
		change(t)
		if repaired, err := n.Repair(); !repaired || err != nil {
			t.Errorf("%s: repaired %v, %v", name, repaired, err)
		}
	}
	if got, err := ask("10.244.0.1:9000"); err != nil {
		t.Errorf("after a repair: %q, %v", got, err)
	}
	if err := n.WithdrawPorts("first"); err != nil {
		t.Error(err)
	}
	if _, err := ask("10.244.0.1:9000"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a port that was withdrawn: %v", err)
	}
	if err := n.PublishPorts("second", list); err != nil {
		t.Errorf("a port that has become free: %v", err)
	}
}

// flushRules removes the rules of a table, as another program may.
func flushRules(t *testing.T) {
	t.Helper()
	conn, err := nftables.Open()
	if err != nil {
		t.Fatal(err)
	}
	table := nftables.Table{Family: nftables.IPv4, Name: network.TableName}
	if err := errors.Join(conn.Commit([]nftables.Message{table.Flush()}), conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// deleteTables removes the Pods' tables, as "nft flush ruleset" does.
func deleteTables(t *testing.T) {
	t.Helper()
	conn, err := nftables.Open()
	if err != nil {
		t.Fatal(err)
	}
	var list []nftables.Message
	for _, f := range []nftables.Family{nftables.IPv4, nftables.IPv6} {
		list = append(list, nftables.Table{Family: f, Name: network.TableName}.Delete())
	}
	if err := errors.Join(conn.Commit(list), conn.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestRangesOfTheHostAreRefused(t *testing.T) {
	host(t, func() error {
		lan := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "lan"}}
		if err := netlink.LinkAdd(lan); err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("10.244.7.1/24")
		if err != nil {
			return err
		}
		if err := errors.Join(netlink.LinkSetUp(lan), netlink.AddrAdd(lan, addr)); err != nil {
			return err
		}
		_, err = network.Open(network.Options{Pods: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}})
		if err == nil || !strings.Contains(err.Error(), "--pod-cidr") {
			t.Errorf("a range that the host has in use: %v", err)
		}
		return nil
	})
}
