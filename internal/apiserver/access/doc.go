// Package access authorizes requests: by the roles and bindings of rbac.authorization.k8s.io, and, for the agents of
// nodes, by the objects that are bound to their node. It holds the built-in roles as data.
//
// The package decides about users that are already authenticated. It writes nothing; it returns what its caller should
// write. It reads through the interfaces that it is given, never over the network.
package access
