package test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A server whose disk is full ends and says why: it cannot keep what it would acknowledge. With room again it has
// everything that it did.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	h := newHost(t)
	h.dir = filepath.Join(disk, "data")
	book := newLedger(8)
	server := h.startServer()
	filler, n := filepath.Join(disk, "filler"), 0
	book.writeUntilRefused(t, h.client(), func() {
		if n++; n == 200 {
			fillDisk(t, filler)
		}
	})
	if code := server.wait(); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	if text := server.out.text(); !strings.Contains(text, "the store ends") || !strings.Contains(text,
		"no space left on device") {
		t.Errorf("it does not say why it ends:\n%s", text)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	again := h.startServer()
	book.audit(t, h.client())
	h.stop(again)
	t.Logf("%d acknowledged writes, %d of them before the disk was full, all there", book.written(), min(n, 200))
}

// smallDisk is a file system of its own: what etcd lays out at its start, and little more.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=200m,mode=0700")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skipf("mounting a small file system takes CAP_SYS_ADMIN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return dir
}

// fillDisk writes a file until nothing fits any more.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			chunk = chunk[:len(chunk)/2]
		}
	}
}
