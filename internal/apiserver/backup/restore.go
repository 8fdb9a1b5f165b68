package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"viaduct/internal/apiserver/store"
)

// A Target is where a backup is restored to.
type Target struct {
	StoreDir string // the directory of the store
	PKIDir   string
	Replace  bool // existing content is moved aside; otherwise it is an error
}

// Restored is the result of Restore.
type Restored struct {
	store.Contents
	PKIFiles int
	Aside    []string // where existing content was moved
}

// ErrNotEmpty is returned if the target of a restore has content.
var ErrNotEmpty = errors.New("is not empty")

// Restore restores the backup file at path. It verifies the whole file, and prepares everything beside the target,
// before it changes the target. No server may be using the target.
func Restore(ctx context.Context, path string, to Target) (r Restored, err error) {
	if err := to.check(); err != nil {
		return Restored{}, err
	}
	parent := filepath.Dir(to.StoreDir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return Restored{}, err
	}
	work, err := os.MkdirTemp(parent, "restoring-") // beside the store, since it is renamed later
	if err != nil {
		return Restored{}, err
	}
	defer os.RemoveAll(work)
	if r.PKIFiles, err = unpack(path, work); err != nil {
		return Restored{}, fmt.Errorf("reading %s: %w", path, err)
	}
	made := filepath.Join(work, "etcd")
	if r.Contents, err = store.Restore(ctx, filepath.Join(work, snapshotName), made); err != nil {
		return Restored{}, err
	}
	return r, r.put(to, made, filepath.Join(work, pkiPrefix))
}

// check returns an error if the target has content that must not be replaced.
func (t Target) check() error {
	if t.Replace {
		return nil
	}
	for _, dir := range []string{t.StoreDir, t.PKIDir} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("%s %w", dir, ErrNotEmpty)
		}
	}
	return nil
}

// put moves existing content aside and the restored content into its place.
func (r *Restored) put(to Target, madeStore, madePKI string) error {
	suffix := time.Now().Format(".20060102-150405")
	for _, dir := range []string{to.StoreDir, to.PKIDir} {
		if err := os.Remove(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			continue // it was empty
		}
		if err := os.Rename(dir, dir+suffix); err != nil {
			return fmt.Errorf("moving existing content aside: %w", err)
		}
		r.Aside = append(r.Aside, dir+suffix)
	}
	if err := copyFiles(madePKI, to.PKIDir); err != nil {
		return fmt.Errorf("restoring the certificate authority: %w", err)
	}
	if err := os.Rename(madeStore, to.StoreDir); err != nil {
		return fmt.Errorf("restoring the store: %w", err)
	}
	return syncDir(filepath.Dir(to.StoreDir))
}

// copyFiles copies and does not rename, since a certificate authority may be on another file system.
func copyFiles(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(to, entry.Name()), strings.NewReader(string(text))); err != nil {
			return err
		}
	}
	return syncDir(to)
}

// unpack writes the content of a backup to dir. It refuses entries that Write does not write, wrong sums, and a file
// that ends before its sums.
func unpack(path, dir string) (pkiFiles int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := os.Mkdir(filepath.Join(dir, pkiPrefix), 0o700); err != nil {
		return 0, err
	}
	var sums strings.Builder
	for archive := tar.NewReader(f); ; {
		header, err := archive.Next()
		if err != nil {
			return 0, fmt.Errorf("not a complete backup: %w", noEOF(err))
		}
		if header.Name == sumsName {
			return pkiFiles, checkSums(archive, sums.String())
		}
		if !isOurs(header) {
			return 0, fmt.Errorf("not a backup: it holds %q", header.Name)
		}
		hash := sha256.New()
		if err := writeFile(filepath.Join(dir, header.Name), io.TeeReader(archive, hash)); err != nil {
			return 0, fmt.Errorf("%s: %w", header.Name, noEOF(err))
		}
		fmt.Fprintf(&sums, "%x  %s\n", hash.Sum(nil), header.Name)
		if header.Name != snapshotName {
			pkiFiles++
		}
	}
}

// isOurs reports whether Write writes such entries.
func isOurs(h *tar.Header) bool {
	name, inPKI := strings.CutPrefix(h.Name, pkiPrefix)
	return h.Typeflag == tar.TypeReg && (h.Name == snapshotName ||
		inPKI && h.Size <= maxSmallFile && name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, `/\`))
}

// noEOF turns an early end of file into io.ErrUnexpectedEOF.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func checkSums(said io.Reader, have string) error {
	want, err := io.ReadAll(io.LimitReader(said, maxSmallFile))
	if err != nil {
		return fmt.Errorf("not a complete backup: %w", noEOF(err))
	}
	if string(want) != have {
		return errors.New("damaged: its SHA-256 sums do not match its content")
	}
	return nil
}

// writeFile writes a new file that only its owner can read.
func writeFile(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}
