package main

import (
	"bytes"
	"strings"
	"testing"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

func TestCleanup(t *testing.T) {
	lab := proxytest.NewLab(t)
	var b *nft.Backend
	lab.In(proxytest.Node, func() (err error) {
		b, err = nft.New(nft.Options{})
		return err
	})
	if err := b.Sync(t.Context(), &routing.Table{}, nil); err != nil {
		t.Fatal(err)
	}
	clean := func() (out string, err error) {
		var text bytes.Buffer
		err = lab.Do(proxytest.Node, func() error { return cleanUp(&text, false) })
		return text.String(), err
	}
	if out, err := clean(); err == nil || !strings.Contains(err.Error(), "--force") || out != "" {
		t.Errorf("while a proxy runs: %q, %v", out, err)
	}
	if err := b.Leave(); err != nil {
		t.Fatal(err)
	}
	if out, err := clean(); err != nil || out != "removed table ip viaduct\nremoved table ip6 viaduct\nremoved bridge "+
		"viaduct0\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := clean(); err != nil || out != "Viaduct has nothing on this host.\n" {
		t.Errorf("the second time: %q, %v", out, err)
	}
}
