package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// dataDirEnv names the variable that sets --data-dir for every command that has it, and for kubectl.
const dataDirEnv = "VIADUCT_DATA_DIR"

const dataDirHelp = "directory for state, certificates and the kubeconfig; $" + dataDirEnv + " sets the default"

func registerDataDir(flags *pflag.FlagSet, value *string) {
	flags.StringVar(value, "data-dir", defaultDataDir(os.Getenv, os.Geteuid()), dataDirHelp)
}

func registerPKIDir(flags *pflag.FlagSet, value *string) {
	flags.StringVar(value, "pki-dir", "", "directory of the certificate authority, which servers over one etcd must "+
		"share (default: pki in --data-dir)")
}

// defaultDataDir is where a user's Viaduct lives: one for the machine when run by root, else one for each user.
func defaultDataDir(env func(string) string, uid int) string {
	if dir := env(dataDirEnv); dir != "" {
		return dir
	}
	if uid == 0 {
		return "/var/lib/viaduct"
	}
	if dir := env("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "viaduct")
	}
	return filepath.Join(env("HOME"), ".local", "share", "viaduct")
}

// makeDataDir creates dir for this user alone, and returns its absolute path.
func makeDataDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the data directory: %w", err)
	}
	return dir, nil
}

func kubeconfigIn(dataDir string) string { return filepath.Join(dataDir, "kubeconfig") }
