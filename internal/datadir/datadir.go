// Package datadir knows the data directory of a Viaduct installation: where it is by default, what its files are
// called, and the locks that keep two processes from using the same state.
package datadir

import (
	"fmt"
	"os"
	"path/filepath"
)

// Env is the environment variable that sets the data directory for every command.
const Env = "VIADUCT_DATA_DIR"

// Default returns the data directory of a user: /var/lib/viaduct for root, and a directory below the user's home for
// everyone else (XDG Base Directory Specification). The variable Env overrides both. getenv is os.Getenv outside tests.
func Default(getenv func(string) string, uid int) string {
	if dir := getenv(Env); dir != "" {
		return dir
	}
	if uid == 0 {
		return "/var/lib/viaduct"
	}
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "viaduct")
	}
	return filepath.Join(getenv("HOME"), ".local", "share", "viaduct")
}

// Create makes dir with mode 0700 if it does not exist, and returns its absolute path.
func Create(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolving the data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("creating the data directory: %w", err)
	}
	return dir, nil
}

// Kubeconfig returns the path of the administrator's kubeconfig in dir.
func Kubeconfig(dir string) string { return filepath.Join(dir, "kubeconfig") }

// KubectlCache returns the directory in dir where kubectl caches discovery documents. kubectl's own cache is keyed by
// host and port and lives for hours, and two data directories may use one address after the other.
func KubectlCache(dir string) string { return filepath.Join(dir, "kubectl-cache") }

// HistoryFile returns the path of the endpoints history that `viaduct up` keeps in dir.
func HistoryFile(dir string) string { return filepath.Join(dir, "history.jsonl") }
