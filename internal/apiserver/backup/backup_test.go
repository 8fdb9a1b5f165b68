package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"viaduct/internal/apiserver/store"
)

// made returns a backup of a store with one key and of a certificate authority of two files.
func made(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(dir, "etcd"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Client().KV.Put(t.Context(), "/registry/a", "1"); err != nil {
		t.Fatal(err)
	}
	pki := filepath.Join(dir, "pki")
	write(t, filepath.Join(pki, "ca.crt"), "certificate")
	write(t, filepath.Join(pki, "ca.key"), "key")
	write(t, filepath.Join(pki, ".lock"), "")
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	var text bytes.Buffer
	if _, err := snapshot.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "backup.tar")
	w, err := Write(path, &text, snapshot.Size(), pki)
	if err != nil || w.PKIFiles != 2 {
		t.Fatalf("wrote %+v, %v; want 2 files of the authority", w, err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || int64(len(whole)) != w.Size {
		t.Fatalf("the file has %d bytes, %v; said %d", len(whole), err, w.Size)
	}
	return whole
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// restore restores text into a new target.
func restore(t *testing.T, text []byte) (Target, Restored, error) {
	t.Helper()
	path, dir := filepath.Join(t.TempDir(), "backup.tar"), filepath.Join(t.TempDir(), "data")
	write(t, path, string(text))
	to := Target{StoreDir: filepath.Join(dir, "etcd"), PKIDir: filepath.Join(dir, "pki")}
	r, err := Restore(t.Context(), path, to)
	return to, r, err
}

func TestRestoreBringsBackAll(t *testing.T) {
	to, r, err := restore(t, made(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Keys != 1 || r.PKIFiles != 2 || len(r.Aside) != 0 {
		t.Errorf("restored %+v", r)
	}
	for name, want := range map[string]string{"ca.crt": "certificate", "ca.key": "key"} {
		got, err := os.ReadFile(filepath.Join(to.PKIDir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s says %q, %v", name, got, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(to.StoreDir))
	if err != nil || len(entries) != 2 {
		t.Errorf("the target has %v, %v; want the store and the authority", entries, err)
	}
}

// entriesOf unpacks a tar file.
func entriesOf(t *testing.T, text []byte) (headers []*tar.Header, contents [][]byte) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		headers, contents = append(headers, h), append(contents, content)
	}
}

func changed(t *testing.T, text []byte, change func(headers []*tar.Header, contents [][]byte)) []byte {
	t.Helper()
	headers, contents := entriesOf(t, text)
	change(headers, contents)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i, h := range headers {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(contents[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRestoreRefuses(t *testing.T) {
	whole := made(t)
	rename := func(to string) []byte {
		return changed(t, whole, func(h []*tar.Header, _ [][]byte) { h[1].Name = to })
	}
	for name, tt := range map[string]struct {
		text []byte
		says string
	}{
		"empty":              {nil, "not a complete backup"},
		"something else":     {[]byte(strings.Repeat("x", 2048)), "not a complete backup"},
		"cut in the store":   {whole[:5000], "unexpected EOF"},
		"cut before the end": {whole[:len(whole)-3072], "not a complete backup"},
		"path outside":       {rename("pki/../../escaped"), "not a backup"},
		"absolute path":      {rename("/etc/passwd"), "not a backup"},
		"hidden file":        {rename("pki/.lock"), "not a backup"},
		"unknown file":       {rename("kubeconfig"), "not a backup"},
		"link": {changed(t, whole, func(h []*tar.Header, c [][]byte) {
			h[1].Typeflag, h[1].Linkname, h[1].Size, c[1] = tar.TypeSymlink, "/etc/passwd", 0, nil
		}), "not a backup"},
		"another key":          {changed(t, whole, func(_ []*tar.Header, c [][]byte) { c[2][0] ^= 1 }), "SHA-256"},
		"one bit of the store": {changed(t, whole, func(_ []*tar.Header, c [][]byte) { c[0][len(c[0])/2] ^= 1 }), "SHA-256"},
		"renamed key":          {rename("pki/other.crt"), "SHA-256"},
		"a name twice": {changed(t, whole, func(h []*tar.Header, _ [][]byte) { h[2].Name = h[1].Name }),
			"file exists"},
	} {
		t.Run(name, func(t *testing.T) {
			to, _, err := restore(t, tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one with %q", err, tt.says)
			}
			entries, err := os.ReadDir(filepath.Dir(to.StoreDir))
			if err != nil && !errors.Is(err, os.ErrNotExist) || len(entries) > 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

func TestRestoreMovesAside(t *testing.T) {
	path, dir := filepath.Join(t.TempDir(), "backup.tar"), t.TempDir()
	write(t, path, string(made(t)))
	to := Target{StoreDir: filepath.Join(dir, "etcd"), PKIDir: filepath.Join(dir, "pki")}
	write(t, filepath.Join(to.PKIDir, "ca.key"), "another")
	if _, err := Restore(t.Context(), path, to); !errors.Is(err, ErrNotEmpty) {
		t.Fatalf("over another authority: %v", err)
	}
	to.Replace = true
	r, err := Restore(t.Context(), path, to)
	if err != nil || len(r.Aside) != 1 {
		t.Fatalf("restored %+v, %v", r, err)
	}
	if text, err := os.ReadFile(filepath.Join(r.Aside[0], "ca.key")); err != nil || string(text) != "another" {
		t.Errorf("what was there says %q now, %v", text, err)
	}
}

// A backup that fails leaves the one before it alone, and nothing else.
func TestWriteIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "backup.tar")
	write(t, path, "the one before")
	_, err := Write(path, strings.NewReader("short"), 100, t.TempDir())
	if !errors.Is(err, io.EOF) {
		t.Errorf("a snapshot that ends early: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(func(yield func(string) bool) {
		for _, e := range entries {
			if !yield(e.Name()) {
				return
			}
		}
	})
	if text, err := os.ReadFile(path); err != nil || string(text) != "the one before" || len(names) != 1 {
		t.Errorf("there is %v, the backup says %q, %v", names, text, err)
	}
}
