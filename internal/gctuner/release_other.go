//go:build !linux

package gctuner

// release does nothing: only Linux lets a process return pages of its own program.
func release() error { return nil }
