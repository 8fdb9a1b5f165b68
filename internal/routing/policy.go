package routing

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
)

// Policy is the method that picks a backend of a pool. The zero Policy is served as Random.
type Policy uint8

const (
	// Random picks a backend for every connection, with a probability in proportion to its weight.
	Random Policy = iota + 1
	// RoundRobin picks the backends in turn. With n Slots, each backend gets exactly its share of n consecutive
	// connections. Each address and port of a Service has a counter of its own on each node.
	RoundRobin
	// SourceHash picks by the client's address: see HashTable.
	SourceHash
	// LeastConnections picks the backend that has the fewest open connections in proportion to its weight. Only the
	// connections through this node count. Among backends with equal load it picks at random.
	LeastConnections
)

// Policies lists every Policy, in the order of the documentation.
func Policies() []Policy { return []Policy{Random, RoundRobin, SourceHash, LeastConnections} }

// String is the value of the annotation viaduct.dev/policy for the Policy.
func (p Policy) String() string {
	return spell([]string{"", annotations.Random, annotations.RoundRobin, annotations.SourceHash,
		annotations.LeastConnections}, p)
}

// Sentence describes p in one sentence, for explain and trace.
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

// balancing returns the policy and the slow start of a Service. It ignores a value that cannot be parsed.
func balancing(svc *v1.Service) (Policy, time.Duration) {
	b, _ := annotations.BalancingOf(svc)
	return Policy(slices.Index(annotations.Policies(), b.Policy)) + Random, b.SlowStart
}
