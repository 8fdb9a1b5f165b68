// Package test drives the built binary from end to end, runs what the documents and examples say, and holds the
// repository to its own rules.
package test
