package apiserver

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// One who copies the authority to another host may forget its key. A new one would lock every client out.
func TestOpenPKIWithoutKey(t *testing.T) {
	dir := t.TempDir()
	if _, err := openPKI(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := openPKI(dir); err == nil || !strings.Contains(err.Error(), "no ca.key") {
		t.Errorf("error %v, want one that names what is missing", err)
	}
}

// Servers over one etcd may be started at once, on a directory that does not exist yet.
func TestOpenPKIAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	found := make([]*pki, 16)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			p, err := openPKI(dir)
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
		if !bytes.Equal(p.caPEM(), found[0].caPEM()) {
			t.Errorf("opener %d has another authority than the first", i)
		}
	}
	made, err := found[3].client("somebody")
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := parsePair(made)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignatureFrom(found[5].cert); err != nil {
		t.Errorf("what one signs another does not accept: %v", err)
	}
	for _, name := range []string{"ca.key", "ca.crt", ".lock"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
}
