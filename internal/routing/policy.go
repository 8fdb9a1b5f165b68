package routing

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
)

// Policy is how one backend of a pool is picked. The zero Policy is served as Random.
type Policy uint8

const (
	// Random picks each backend with a probability in proportion to its weight, anew for every connection.
	Random Policy = iota + 1
	// RoundRobin picks the backends in turn: of as many connections in a row as there are Slots, each backend gets its
	// share exactly. Each address and port of a Service has a turn of its own on each node.
	RoundRobin
	// SourceHash picks by the client's address: see HashTable.
	SourceHash
	// LeastConnections picks the backend that has the fewest open connections in proportion to its weight, as this node
	// knows of them; among equals it draws.
	LeastConnections
)

// Policies lists every Policy, in the order of the documentation.
func Policies() []Policy { return []Policy{Random, RoundRobin, SourceHash, LeastConnections} }

// String is the Policy as the annotation viaduct.dev/policy spells it.
func (p Policy) String() string {
	return spell([]string{"", annotations.Random, annotations.RoundRobin, annotations.SourceHash,
		annotations.LeastConnections}, p)
}

// Sentence says what p does, for explain and trace.
func (p Policy) Sentence() string {
	switch p {
	case Random:
		return "a connection goes to an endpoint at random, in proportion to the weights"
	case RoundRobin:
		return "connections go to the endpoints in turn, in proportion to the weights"
	case SourceHash:
		return "a client address goes to the same endpoint each time, while the endpoints stay the same"
	case LeastConnections:
		return "a connection goes to the endpoint with the fewest open connections on this node, in proportion to the weights"
	}
	return ""
}

// balancing reads the policy and the slow start that a Service asks for. A value that cannot be read counts as not
// written.
func balancing(svc *v1.Service) (Policy, time.Duration) {
	b, _ := annotations.BalancingOf(svc)
	return Policy(slices.Index(annotations.Policies(), b.Policy)) + Random, b.SlowStart
}
