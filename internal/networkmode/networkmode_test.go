package networkmode

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"viaduct/internal/node/network"
)

func equal(a, b Ranges) bool {
	return slices.Equal(a.Services, b.Services) && slices.Equal(a.Pods, b.Pods)
}

// A range that is not given has the default of the mode that the given one is in.
func TestCompleteKeepsToOneMode(t *testing.T) {
	outside := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	inside := []netip.Prefix{netip.MustParsePrefix("127.5.0.0/16")}
	for _, c := range []struct{ given, want Ranges }{
		{Ranges{}, Host()},
		{Ranges{Services: inside}, Ranges{inside, Host().Pods}},
		{Ranges{Pods: inside}, Ranges{Host().Services, inside}},
		{Ranges{Services: outside}, Ranges{outside, Isolated().Pods}},
		{Ranges{Pods: outside}, Ranges{Isolated().Services, outside}},
	} {
		if got := complete(c.given); !equal(got, c.want) {
			t.Errorf("%v: became %v, want %v", c.given, got, c.want)
		}
	}
}

// The next start uses the saved ranges, except where a flag gives another.
func TestRangesAreSaved(t *testing.T) {
	dir := t.TempDir()
	saved := Ranges{
		Services: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/112")},
		Pods:     []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")},
	}
	if err := save(dir, saved); err != nil {
		t.Fatal(err)
	}
	pods := []netip.Prefix{netip.MustParsePrefix("10.3.0.0/16")}
	for _, c := range []struct{ given, want Ranges }{
		{Ranges{}, saved},
		{Ranges{Pods: pods}, Ranges{saved.Services, pods}},
	} {
		if got, err := recall(dir, c.given); err != nil || !equal(got, c.want) {
			t.Errorf("given %v: got %v, %v, want %v", c.given, got, err, c.want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, rangesFile), []byte("--pod-cidr everywhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := recall(dir, Ranges{}); err == nil {
		t.Error("no error for ranges that cannot be parsed")
	}
}

// A store from a version that did not save its ranges holds loopback addresses, so its mode must not change.
func TestOldDataDirectoryKeepsItsMode(t *testing.T) {
	store := filepath.Join(t.TempDir(), "etcd")
	if !isNew(store) {
		t.Error("a directory without a store is not new")
	}
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	if isNew(store) {
		t.Error("a directory with a store is new")
	}
}

func TestChooseFallsBackToHostMode(t *testing.T) {
	dir := t.TempDir()
	o := Options{DataDir: dir, StoreDir: filepath.Join(dir, "etcd"), Allowed: true, Log: slog.New(slog.DiscardHandler),
		Check: func(Ranges) error { return nil },
		Open: func(r Ranges) (*network.Network, error) {
			if equal(r, Isolated()) {
				return nil, errors.New("no network namespaces")
			}
			return nil, nil
		}}
	got, _, err := Choose(o)
	if err != nil || !equal(got, Host()) {
		t.Errorf("got %v, %v, want the ranges of host mode", got, err)
	}
	if again, err := recall(dir, Ranges{}); err != nil || !equal(again, Host()) {
		t.Errorf("saved %v, %v, want the ranges of host mode", again, err)
	}
}

func TestChooseReturnsTheErrorOfGivenRanges(t *testing.T) {
	broken := errors.New("no network namespaces")
	_, _, err := Choose(Options{DataDir: t.TempDir(), Given: Isolated(), Log: slog.New(slog.DiscardHandler),
		Check: func(Ranges) error { return nil },
		Open:  func(Ranges) (*network.Network, error) { return nil, broken }})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
