package endpoints

import (
	"net/netip"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAddressBook(t *testing.T) {
	b := newPodsByIP()
	addr := netip.MustParseAddr("10.0.0.1")
	pod := func(name, ip string, change ...func(*v1.Pod)) *v1.Pod {
		p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1.PodStatus{PodIP: ip}}
		for _, f := range change {
			f(p)
		}
		return p
	}
	want := func(when string, names ...string) {
		t.Helper()
		got := b.at(addr)
		for i, name := range names {
			if len(got) != len(names) || got[i].Name != name {
				t.Fatalf("%s: %d Pods are there, want %v", when, len(got), names)
			}
		}
		if len(names) == 0 && len(got)+len(b.one)+len(b.more) > 0 {
			t.Errorf("%s: %d are left in the book", when, len(b.one)+len(b.more))
		}
	}
	a, second := pod("a", "10.0.0.1"), pod("b", "10.0.0.1")
	b.change(nil, a)
	b.change(nil, second)
	want("two share it", "a", "b")
	ended := pod("a", "10.0.0.1", func(p *v1.Pod) { p.Status.Phase = v1.PodFailed })
	b.change(a, ended)
	want("one has ended", "b")
	b.change(ended, nil)
	want("it is gone", "b")
	moved := pod("b", "10.0.0.2")
	b.change(second, moved)
	if got := b.at(netip.MustParseAddr("10.0.0.2")); len(got) != 1 || got[0] != moved {
		t.Errorf("after the move: %v", got)
	}
	b.change(moved, pod("b", "10.0.0.2", func(p *v1.Pod) { p.Spec.HostNetwork = true }))
	want("all gone")
}
