// Package resource turns a value, a Kind, into a served API resource: its strategy, its storage in etcd behind a watch
// cache, its field selectors, its entry in discovery and its subresources. It adapts k8s.io/apiserver's registry.
//
//	kind.go      what is particular to one resource
//	declare.go   what follows from it
//	strategy.go  the registry's strategies, by the rules of a kind
//	rest.go      the handlers of a resource, its status and its finalizers
//	builder.go   all resources of one server
//	schemes.go   their Go types, defaults and codecs
//	etcd.go      where and how they are stored
//	storage.go   how the server itself reads and writes objects
//
// It knows no particular resource.
package resource
