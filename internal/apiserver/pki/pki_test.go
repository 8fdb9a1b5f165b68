package pki

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// An authority copied without its key is an error. A new authority would lock every client out.
func TestOpenWithoutKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "no ca.key") {
		t.Errorf("error %v, want one that names what is missing", err)
	}
}

// Several servers may open one directory at once before it exists.
func TestOpenAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	found := make([]*Authority, 16)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			p, err := Open(dir)
			if err != nil {
				t.Error(err)
			}
			found[i] = p
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, p := range found {
		if !bytes.Equal(p.CAPEM(), found[0].CAPEM()) {
			t.Errorf("opener %d has another authority than the first", i)
		}
	}
	made, err := found[3].Client("somebody")
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := parsePair(made)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignatureFrom(found[5].cert); err != nil {
		t.Errorf("a certificate of one is invalid for another: %v", err)
	}
	for _, name := range []string{"ca.key", "ca.crt", ".lock"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
}
