package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// exposeViaduct lets containers run `viaduct echo` by that name, as this very binary, wherever it is and whatever it is called:
// DATA/bin holds a link to it, and comes first in the PATH that the agent passes on.
func exposeViaduct(dataDir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this binary: %w", err)
	}
	bin := filepath.Join(dataDir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("making a place for the viaduct link: %w", err)
	}
	link := filepath.Join(bin, "viaduct")
	if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("replacing the viaduct link: %w", err)
	}
	if err := os.Symlink(self, link); err != nil {
		return fmt.Errorf("linking viaduct: %w", err)
	}
	return os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}
