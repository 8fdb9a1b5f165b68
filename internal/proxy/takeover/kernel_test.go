package takeover_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/proxy/takeover"
)

// find calls takeover.Find on the lab's node.
func find(t *testing.T, lab *proxytest.Lab) (found *takeover.Leftovers) {
	t.Helper()
	lab.In(proxytest.Node, func() (err error) {
		found, err = takeover.Find(t.Context())
		return err
	})
	return found
}

// remove removes the leftovers, checks that none are left, and returns the lines of Remove.
func remove(t *testing.T, lab *proxytest.Lab) (removed []string) {
	t.Helper()
	lab.In(proxytest.Node, func() error {
		found, err := takeover.Find(t.Context())
		if err != nil {
			return err
		}
		removed, err = found.Remove(t.Context())
		return err
	})
	if left := find(t, lab).Lines(); len(left) > 0 {
		t.Errorf("still there: %q", left)
	}
	return removed
}

func TestNothingToDo(t *testing.T) {
	if removed := remove(t, proxytest.NewLab(t)); len(removed) > 0 {
		t.Errorf("removed from a fresh host: %q", removed)
	}
}

// commit applies messages on the node.
func commit(lab *proxytest.Lab, list []nftables.Message) {
	lab.In(proxytest.Node, func() error {
		conn, err := nftables.Open()
		if err != nil {
			return err
		}
		return errors.Join(conn.Commit(list), conn.Close())
	})
}

// kubeProxy writes what kube-proxy leaves in nftables, in both families, and rules of other programs. It needs no
// binary.
func kubeProxy(lab *proxytest.Lab) {
	var list []nftables.Message
	for _, family := range []nftables.Family{nftables.IPv4, nftables.IPv6} {
		own := nftables.Table{Family: family, Name: "kube-proxy"}
		list = append(list, own.Add(), own.AddChain(nftables.Chain{Name: "services"}))
		list = append(list, hook(own, "nat-prerouting", "services")...)
		other := nftables.Table{Family: family, Name: "other"} // not a table of iptables
		list = append(list, other.Add(), other.AddChain(nftables.Chain{Name: "KUBE-SERVICES"}))
		nat := nftables.Table{Family: family, Name: "nat"}
		list = append(list, nat.Add())
		for _, name := range []string{"KUBE-SERVICES", "KUBE-SVC-A", "KUBE-SEP-A", "KUBE-KUBELET-CANARY", "DOCKER"} {
			list = append(list, nat.AddChain(nftables.Chain{Name: name}))
		}
		list = append(list, jump(nat, "KUBE-SERVICES", "KUBE-SVC-A"), jump(nat, "KUBE-SVC-A", "KUBE-SEP-A"))
		list = append(list, hook(nat, "PREROUTING", "DOCKER", "KUBE-SERVICES")...)
	}
	commit(lab, list)
}

// hook makes a base chain with a rule for each chain that it leads to.
func hook(t nftables.Table, name string, targets ...string) []nftables.Message {
	prerouting := &nftables.Hook{Type: "nat", Number: unix.NF_INET_PRE_ROUTING, Priority: -100}
	list := []nftables.Message{t.AddChain(nftables.Chain{Name: name, Hook: prerouting})}
	for _, target := range targets {
		list = append(list, jump(t, name, target))
	}
	return list
}

func jump(t nftables.Table, from, to string) nftables.Message {
	e := nftables.Exprs{Family: t.Family}
	e.Expr("counter", func(*nftables.Attrs) {})
	e.Jump(to)
	return t.AddRule(nftables.Rule{Chain: from, Exprs: e.Attrs})
}

// chains lists the node's chains of both families, with the targets of their rules.
func chains(lab *proxytest.Lab) (list []string) {
	lab.In(proxytest.Node, func() error {
		conn, err := nftables.Open()
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		for _, family := range []nftables.Family{nftables.IPv4, nftables.IPv6} {
			names, err := conn.Tables(family)
			if err != nil {
				return err
			}
			for _, name := range names {
				some, err := chainsOf(conn, nftables.Table{Family: family, Name: name})
				if err != nil {
					return err
				}
				list = append(list, some...)
			}
		}
		return nil
	})
	slices.Sort(list)
	return slices.Compact(list)
}

func chainsOf(conn *nftables.Conn, t nftables.Table) (list []string, err error) {
	chains, err := conn.Chains(t)
	if err != nil {
		return nil, err
	}
	rules, err := conn.Rules(t)
	for _, c := range chains {
		text := t.Name + " " + c.Name
		for _, r := range rules {
			if r.Chain == c.Name && r.Target != "" {
				text += " > " + r.Target
			}
		}
		list = append(list, text)
	}
	return list, err
}

func TestNFTables(t *testing.T) {
	lab := proxytest.NewLab(t)
	kubeProxy(lab)
	before := chains(lab)
	if got := len(find(t, lab).Lines()); got != 4 {
		t.Errorf("found %d things", got)
	}
	if after := chains(lab); !slices.Equal(before, after) {
		t.Errorf("Find changed %q to %q", before, after)
	}
	removed := remove(t, lab)
	want := []string{
		"nftables table ip kube-proxy: 2 chains, with all that is in it",
		"nftables table ip6 kube-proxy: 2 chains, with all that is in it",
		"iptables-nft table nat: 3 chains, and 1 rule that leads to them",
		"ip6tables-nft table nat: 3 chains, and 1 rule that leads to them",
	}
	if !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
	left := []string{"nat DOCKER", "nat KUBE-KUBELET-CANARY", "nat PREROUTING > DOCKER", "other KUBE-SERVICES"}
	if got := chains(lab); !slices.Equal(got, left) {
		t.Errorf("left: %q, want %q", got, left)
	}
}

// There may be many more chains than fit into a transaction.
func TestManyChains(t *testing.T) {
	lab := proxytest.NewLab(t)
	const n = 1200
	nat := nftables.Table{Family: nftables.IPv4, Name: "nat"}
	commit(lab, append([]nftables.Message{nat.Add(), nat.AddChain(nftables.Chain{Name: "KUBE-SERVICES"})},
		hook(nat, "PREROUTING", "KUBE-SERVICES")...))
	var list []nftables.Message
	for i := range n {
		name := "KUBE-SVC-" + strings.Repeat("A", i%16) + string(rune('A'+i%26)) + string(rune('A'+i/26%26)) +
			string(rune('A'+i/676))
		list = append(list, nat.AddChain(nftables.Chain{Name: name}), jump(nat, "KUBE-SERVICES", name))
	}
	for some := range slices.Chunk(list, 100) {
		commit(lab, some)
	}
	remove(t, lab)
	if got := chains(lab); !slices.Equal(got, []string{"nat PREROUTING"}) {
		t.Errorf("left: %d chains", len(got))
	}
}

// on runs a binary on the node, or skips the test if the binary is not installed.
func on(t *testing.T, lab *proxytest.Lab, input, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (of Debian's packages iptables, ipset)", name)
	}
	// the default lock file belongs to root, also in a user namespace
	t.Setenv("XTABLES_LOCKFILE", filepath.Join(t.TempDir(), "lock"))
	var out bytes.Buffer
	lab.In(proxytest.Node, func() error {
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out.String())
		}
		return nil
	})
	return out.String()
}

var volatile = regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]`) // comments with the time, counters

// The files hold the rules of a host as iptables-save prints them, with kube-proxy's and without.
func TestIptables(t *testing.T) {
	with, err := os.ReadFile("testdata/kube-proxy.rules")
	if err != nil {
		t.Fatal(err)
	}
	without, err := os.ReadFile("testdata/without.rules")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"} {
		t.Run(tool, func(t *testing.T) {
			text, want := string(with), string(without)
			if strings.HasPrefix(tool, "ip6") {
				text, want = inIPv6(text), inIPv6(want)
			}
			other := proxytest.NewLab(t)
			on(t, other, want, tool+"-restore")
			want = volatile.ReplaceAllString(on(t, other, "", tool+"-save"), "")
			lab := proxytest.NewLab(t)
			on(t, lab, text, tool+"-restore")
			removed := remove(t, lab)
			if len(removed) != 3 || !strings.HasPrefix(removed[0], tool+" table ") {
				t.Errorf("removed: %q", removed)
			}
			if got := volatile.ReplaceAllString(on(t, lab, "", tool+"-save"), ""); got != want {
				t.Errorf("left:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// inIPv6 translates rules from IPv4 to IPv6.
func inIPv6(rules string) string {
	rules = regexp.MustCompile(`\b(\d+)\.(\d+)\.(\d+)\.(\d+):(\d+)`).ReplaceAllString(rules, "[fd00::$1:$2:$3:$4]:$5")
	rules = regexp.MustCompile(`\b(\d+)\.(\d+)\.(\d+)\.(\d+)/32`).ReplaceAllString(rules, "fd00::$1:$2:$3:$4/128")
	rules = strings.ReplaceAll(rules, "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	rules = strings.ReplaceAll(rules, "icmp-port-unreachable", "icmp6-port-unreachable")
	return strings.NewReplacer("127.0.0.0/8", "::1/128", "172.17.0.0/16", "fd17::/64", "0.0.0.0/0", "::/0").Replace(rules)
}

func TestNoBinaryForOlderTables(t *testing.T) {
	lab := proxytest.NewLab(t)
	on(t, lab, "", "iptables-legacy", "-t", "nat", "-N", "KUBE-SERVICES")
	t.Setenv("PATH", t.TempDir())
	found := find(t, lab)
	if len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "iptables-legacy-save") ||
		!strings.Contains(found.Notes[0], "nat") {
		t.Errorf("notes: %q", found.Notes)
	}
}

func TestIPVSInterfaceAndSets(t *testing.T) {
	lab := proxytest.NewLab(t)
	lab.In(proxytest.Node, makeIPVS)
	on(t, lab, "create foreign bitmap:port range 0-65535\ncreate KUBE-NODE-PORT-TCP bitmap:port range 0-65535\nadd "+
		"KUBE-NODE-PORT-TCP 30080\n", "ipset", "restore")
	on(t, lab, "*nat\n:KUBE-NODE-PORT - [0:0]\n-A KUBE-NODE-PORT -p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -j "+
		"RETURN\nCOMMIT\n", "iptables-nft-restore")
	removed := remove(t, lab)
	want := []string{"iptables-nft table nat: 1 chain", "interface kube-ipvs0, with 1 address", "1 ipset, KUBE-*"}
	if !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
	on(t, lab, "", "ipset", "list", "foreign")
	lab.In(proxytest.Node, func() error {
		_, err := netlink.LinkByName("dummy0")
		return err
	})
}

// makeIPVS makes an interface with kube-proxy's name, and another one. kube-proxy's interface has the type dummy, which
// some kernels do not have; only its name matters.
func makeIPVS() error {
	for _, name := range []string{"dummy0", "kube-ipvs0"} {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
			return err
		}
	}
	link, err := netlink.LinkByName("kube-ipvs0")
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, &netlink.Addr{IPNet: netlink.NewIPNet(net.IPv4(10, 96, 0, 10))})
}

// fakeKubeProxy is the path of a binary named kube-proxy that sleeps for the seconds in its argument.
func fakeKubeProxy(t *testing.T) string {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs sleep")
	}
	binary, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "kube-proxy")
	if err := os.WriteFile(name, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// A process named kube-proxy counts only in its own network namespace.
func TestRunning(t *testing.T) {
	name := fakeKubeProxy(t)
	lab := proxytest.NewLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, name, "60")
	lab.In(proxytest.Node, cmd.Start)
	running := func(where proxytest.Host) (pids []int) {
		lab.In(where, func() (err error) {
			pids, err = takeover.Running()
			return err
		})
		return pids
	}
	if got := running(proxytest.Node); !slices.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("running on its host: %v, want %d", got, cmd.Process.Pid)
	}
	if got := running(proxytest.Client); slices.Contains(got, cmd.Process.Pid) {
		t.Error("it is found in another network namespace")
	}
	cancel()
	_ = cmd.Wait() // it was killed
	if got := running(proxytest.Node); len(got) > 0 {
		t.Errorf("running after its end: %v", got)
	}
}
