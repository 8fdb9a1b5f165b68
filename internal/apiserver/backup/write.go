// Package backup writes and restores the one file that recovers a server: its store at one moment, and its certificate
// authority, without which no existing client could authenticate again. The file is a tar archive that ordinary tools
// can read:
//
//	etcd.db      the store, as `etcdctl snapshot save` writes it
//	pki/…        certificates, keys and tokens
//	SHA256SUMS   the sums of all of them, as sha256sum writes them
//
// The file holds every secret of the server, so only its owner can read it. This package must not know how a server is
// reached or run.
package backup

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const (
	snapshotName = "etcd.db"
	pkiPrefix    = "pki/"
	sumsName     = "SHA256SUMS"

	maxSmallFile = 1 << 20 // bytes; for every file except the snapshot
)

// Written describes the file that Write has written.
type Written struct {
	Size     int64 // of the file, in bytes
	PKIFiles int
}

// Write writes a backup to the file at path: size bytes of a snapshot of the store, and the files in pkiDir. The
// file is written completely or not at all, and replaces an existing one.
func Write(path string, snapshot io.Reader, size int64, pkiDir string) (w Written, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // its mode is 0600
	if err != nil {
		return Written{}, fmt.Errorf("creating the backup file: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	a := &archive{tar: tar.NewWriter(f), made: time.Now()}
	if err := a.add(snapshotName, size, snapshot); err != nil {
		return Written{}, err
	}
	if w.PKIFiles, err = a.addDir(pkiDir); err != nil {
		return Written{}, err
	}
	if err := a.end(); err != nil {
		return Written{}, err
	}
	if w.Size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return Written{}, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return Written{}, fmt.Errorf("writing the backup file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return Written{}, fmt.Errorf("renaming the backup file: %w", err)
	}
	return w, syncDir(filepath.Dir(path))
}

// archive is a tar file that collects the sums of its entries.
type archive struct {
	tar  *tar.Writer
	made time.Time
	sums strings.Builder
}

func (a *archive) add(name string, size int64, from io.Reader) error {
	if err := a.tar.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: a.made,
		Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	hash := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(a.tar, hash), from, size); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	fmt.Fprintf(&a.sums, "%x  %s\n", hash.Sum(nil), name)
	return nil
}

// addDir adds the files of dir, without subdirectories. It skips names that begin with a dot: locks and unfinished
// files.
func (a *archive) addDir(dir string) (files int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("reading the certificate authority: %w", err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		text, err := readSmall(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being replaced
		}
		if err != nil {
			return 0, err
		}
		if err := a.add(path.Join(pkiPrefix, entry.Name()), int64(len(text)), strings.NewReader(text)); err != nil {
			return 0, err
		}
		files++
	}
	return files, nil
}

func (a *archive) end() error {
	sums := a.sums.String()
	if err := a.add(sumsName, int64(len(sums)), strings.NewReader(sums)); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return fmt.Errorf("completing the backup file: %w", err)
	}
	return nil
}

func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err == nil && len(text) > maxSmallFile {
		err = fmt.Errorf("%s is larger than 1 MB, and so is not part of a certificate authority", path)
	}
	return string(text), err
}

// syncDir makes renames in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
