// Package node is the agent of one host: it registers a Node, keeps its Lease, and runs the Pods bound to it as
// processes, with the variables of the Services that exist at that moment, probes, restarts and status.
//
// It talks to the rest only by API objects. It must not know which server answers, decide who is in a Service, or fetch
// images: a container is its command, run on the host.
//
// # What a process sees
//
// A container's process gets the variables Kubernetes would give it, and of the agent's own environment only PATH;
// besides those HOME, HOSTNAME (the Pod's) and VIADUCT_CONTAINER, by which a later agent finds what an earlier one left
// behind. It shares the host's network and files: two Pods that listen on 0.0.0.0:8080 collide, so a program should
// listen on the Pod's own address, which status.podIP gives it through a fieldRef. Without a workingDir it starts in /.
//
// Of each container the logs of the last five runs are kept, under DataDir/pods/UID/CONTAINER. A log is written by the
// process itself and grows as long as the process writes: nothing cuts it.
//
// # What is left when the agent is killed
//
// The kernel kills the leader of every container with the agent. Whatever those have forked is found by the next agent,
// before it starts anything: by its process group, or by VIADUCT_CONTAINER. A process that has left the group and has
// cleared its environment too is not found.
//
// The files env.go, envfields.go, servicevars.go, expand.go, ip.go, status.go, conditions.go, next.go and backoff.go
// are pure: values in, values out, no clock.
package node
