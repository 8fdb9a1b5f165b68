//go:build !linux

package main

// returnStartMemory does nothing: only Linux lets a process return pages of its own program.
func returnStartMemory() error { return nil }
