// Package runtime is the seam between the node agent and what runs its containers. The agent decides what is to run,
// when and how often; a Runtime makes it run. The names are those of the Container Runtime Interface (CRI) of
// Kubernetes, and the shape is close to it: a Pod sandbox, containers in it, and streams of a container.
//
// Implementations are package process (each container is a process of this host) and package runtimetest (Go functions,
// for tests). The conformance suite runtimetest.Run tests both.
//
// The package holds an interface and plain types. It must not import a runtime, the API client or the agent.
package runtime
