// Package examples holds manifests to try and to start from. The manifests of the quickstart are embedded, so
// `viaduct demo` needs only its binary.
package examples

import "embed"

// Quickstart is the folder quickstart.
//
//go:embed quickstart/*.yaml
var Quickstart embed.FS
