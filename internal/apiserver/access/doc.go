// Package access says who may do what: by the roles and bindings of rbac.authorization.k8s.io, and, for the agents of
// nodes, by what is bound to their node. It holds the built-in roles as data.
//
// It decides about users whom somebody else has logged in, and writes nothing: it returns what should be written. It
// reads through the interfaces it is given, never over the network.
package access
