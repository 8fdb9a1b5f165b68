// Package node is the agent of one host. It registers a Node, keeps its Lease, and runs the Pods bound to it: it gives
// them addresses and the variables of the Services that exist at that moment, starts and restarts their containers,
// probes them and writes their status.
//
// It talks to the other parts only by API objects. It must not know which server answers, decide which Pods are members
// of a Service, or know how a container runs: that is behind the interface of package runtime.
//
// The files env.go, envfields.go, servicevars.go, expand.go, ip.go, status.go, conditions.go, next.go, backoff.go and
// sandboxconfig.go are pure: values in, values out, no clock.
package node
