// Package drift holds the drift alarm: tests that compare what Viaduct implements by hand with what the Kubernetes
// libraries in go.mod export. Viaduct does not import k8s.io/kubernetes, so its defaults, its validation and its
// built-in roles are its own code. A new Kubernetes release can add a field, a default, an enum value, a declared rule
// or a subresource, and nothing else in this repository would notice.
//
// The files in testdata record the libraries' side together with a decision for each entry. A test fails when the
// libraries and the record differ, and when an entry has no decision. docs/following-kubernetes.md says what to do
// then.
//
// The package has tests only. It must not be imported.
package drift
