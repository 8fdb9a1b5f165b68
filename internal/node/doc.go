// Package node is the agent of one host: it registers a Node, keeps its Lease, and runs the Pods bound to it as
// processes, with the variables of the Services that exist at that moment, probes, restarts and status.
//
// It talks to the rest only by API objects. It must not know which server answers, decide who is in a Service, or
// fetch images: a container is its command, run on the host.
//
// # What a process sees
//
// A container's process gets the variables Kubernetes would give it, and of the agent's own environment only PATH;
// besides those HOME, HOSTNAME (the Pod's) and VIADUCT_CONTAINER, by which a later agent finds what an earlier one left
// behind. It shares the host's network and files: two Pods that listen on 0.0.0.0:8080 collide, so a program should
// listen on the Pod's own address, which status.podIP gives it through a fieldRef. Without a workingDir it starts in /.
//
// The files env.go, envfields.go, servicevars.go, expand.go, ip.go, status.go, conditions.go, next.go and backoff.go are
// pure: values in, values out, no clock.
package node
