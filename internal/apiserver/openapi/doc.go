// Package openapi holds the OpenAPI models of the types that the API server serves. Everything except this file is
// generated from the Go types; it must not be edited.
package openapi

//go:generate go tool openapi-gen --output-dir . --output-pkg viaduct/internal/apiserver/openapi --output-file zz_generated.openapi.go --go-header-file /dev/null --report-filename /dev/null k8s.io/api/core/v1 k8s.io/api/discovery/v1 k8s.io/api/coordination/v1 k8s.io/api/networking/v1 k8s.io/api/rbac/v1 k8s.io/api/authentication/v1 k8s.io/api/authorization/v1 k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/util/intstr k8s.io/apimachinery/pkg/version
