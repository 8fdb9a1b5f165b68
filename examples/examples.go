// Package examples holds manifests to try and to start from. Those of the guided tour are embedded, so that `viaduct
// demo` needs nothing but its binary.
package examples

import "embed"

// Quickstart is the folder of that name.
//
//go:embed quickstart/*.yaml
var Quickstart embed.FS
