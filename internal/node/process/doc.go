// Package process runs containers as processes of this host: a container is its command, and no image is fetched. Each
// container is one process group with a log file and a run record.
//
// # What a process sees
//
// A process gets the variables of its container, and of the agent's own environment only PATH. In addition it gets
// HOME, HOSTNAME (the Pod's) and VIADUCT_CONTAINER, by which a later agent finds what an earlier one left running. It
// shares the files of the host, and without a Network also its network: two Pods that listen on 0.0.0.0:8080 collide,
// so a program should listen on the Pod's own address, which status.podIP gives it through a fieldRef. Without a
// workingDir it starts in /.
//
// # Logs
//
// The logs of the last five runs of each container are kept, under DataDir/pods/UID/CONTAINER. The process itself
// writes its log, standard output and standard error in one file, without times. A log grows as long as the process
// writes: nothing cuts it.
//
// # Streams
//
// A command that runs beside a container (Exec) has its own input and output, or a terminal of its own. Attach gives
// the output of the container only: the standard input of a process is empty, so attaching input or a terminal is not
// supported.
//
// # What is left when the agent is killed
//
// The kernel kills the leader of every container with the agent. The next agent finds what the leaders have forked,
// before it starts anything: by process group, or by VIADUCT_CONTAINER. It does not find a process that has left the
// group and has cleared its environment too.
package process
