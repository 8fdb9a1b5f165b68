//go:build !linux

package main

// returnMemory does nothing: only Linux lets a process return pages of its own program.
func returnMemory() error { return nil }
