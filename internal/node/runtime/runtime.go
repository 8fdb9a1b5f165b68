package runtime

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"time"
)

// ErrNotSupported is wrapped by the error of an operation that a runtime cannot do. Asking again does not help.
var ErrNotSupported = errors.New("the container runtime does not support this")

// A StartError is returned by PodSandbox.Start for a container that was made but could not be started, for example
// because its program does not exist. The attempt counts, and ID names it.
type StartError struct {
	ID  string
	Err error
}

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// A Runtime runs the containers of the Pods of one host. Its methods may be called from several goroutines at once, but
// Open first and Close last.
type Runtime interface {
	// Version names the runtime, as NAME://VERSION: the containerRuntimeVersion of a Node's status.
	Version() string

	// Open makes the runtime ready. When it returns, nothing runs that an earlier agent left running.
	Open(ctx context.Context) error
	// Close ends the runtime, and with it every container that still runs.
	Close() error

	// RunPodSandbox makes what the containers of a Pod share. The caller closes the sandbox.
	RunPodSandbox(ctx context.Context, config PodSandboxConfig) (PodSandbox, error)
	// Pods lists the UIDs of the Pods of which the runtime keeps anything: logs, records, files.
	Pods() ([]string, error)
	// RemovePod removes what is kept of a Pod. Its containers have ended and its sandbox is closed.
	RemovePod(uid string) error

	// LastAttempt gives the number of the last run of a container, from 0. ok is false if no run is known. It outlives
	// the agent: an agent that was killed may not have written a run to the API.
	LastAttempt(podUID, container string) (attempt int32, ok bool)
	// Logs writes what one run of a container printed to out. The error is fs.ErrNotExist if its log is not kept (any
	// more). With opts.Follow it returns when the run has ended or ctx has: the latter is no error.
	Logs(ctx context.Context, run ContainerRun, opts LogOptions, out io.Writer) error
}

// A PodSandbox is what the containers of one Pod share: namespaces, addresses, ports of the host.
type PodSandbox interface {
	// Start makes a container and starts it. The error is a *StartError if the container was made; any other error means
	// that the config asks for something the runtime cannot give, and that this attempt does not count.
	Start(ctx context.Context, config ContainerConfig) (Container, error)
	// Close gives up what the sandbox holds, its ports and addresses. Containers that still run in it end.
	Close() error
}

// A Container is one run of a container, from its start on. It stays valid after its end.
type Container interface {
	// ID names the run, as RUNTIME://…: the containerID of a container's status.
	ID() string
	// Signal sends sig to the container. It is no error if the container has ended.
	Signal(sig syscall.Signal) error
	// Wait blocks until the container has ended and everything it started is gone. The error is that of ctx.
	Wait(ctx context.Context) (Exit, error)
	// Stats measures the container now. The error is fs.ErrNotExist once it has ended.
	Stats(ctx context.Context) (Stats, error)

	// Exec runs a command beside the container's own program, with its variables, directory and user, until the command
	// or ctx ends. An error means that the command could not be started or that ctx ended first.
	Exec(ctx context.Context, command []string, streams Streams) (exitCode int, err error)
	// Attach passes on what the container prints from now on, and streams.Stdin to it, until the container or ctx ends:
	// neither is an error.
	Attach(ctx context.Context, streams Streams) error
}

// A PodSandboxConfig says what the sandbox of a Pod is to be.
type PodSandboxConfig struct {
	UID          string
	Hostname     string        // at most 63 bytes
	HostNetwork  bool          // the Pod shares the host's network and has no addresses of its own
	Addrs        []netip.Addr  // of the Pod, the primary first
	PortMappings []PortMapping // ports of the host that lead to the Pod
	Hosts        string        // the content of /etc/hosts, where the Pod has a network of its own
	ResolvConf   string        // likewise of /etc/resolv.conf
}

// A PortMapping leads a port of the host to a port of the Pod.
type PortMapping struct {
	Protocol uint8 // IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP
	HostPort uint16
	PodPort  uint16
}

// A ContainerConfig says what to run. Every $(NAME) in it has been replaced.
type ContainerConfig struct {
	Name       string // unique in the Pod
	Image      string
	Attempt    int32    // counts the runs of this container, from 0
	Command    []string // replaces the image's entrypoint; empty: the image's
	Args       []string // replaces the image's arguments
	Env        []string // NAME=value. The runtime adds variables of its own, which these override
	WorkingDir string   // empty: the runtime's default
	User       User
}

// User says as which user a container runs. nil means that the Pod does not say.
type User struct {
	UID, GID *int64
	NonRoot  bool // runAsNonRoot: the container must not start as UID 0
}

// An Exit says how a container ended.
type Exit struct {
	Code              int32 // 0 to 255; 128+n for signal n
	Signal            int32 // the signal that ended it; 0: it ended by itself
	Started, Finished time.Time
}

// Stats is what a container uses.
type Stats struct {
	At     time.Time
	CPU    time.Duration // processor time since the container started, user and system
	Memory uint64        // resident bytes
}

// A ContainerRun names one run of one container.
type ContainerRun struct {
	PodUID, Container string
	Attempt           int32 // the run before it, --previous of kubectl logs, is Attempt-1
}

// LogOptions say which part of a log is wanted. The zero value asks for what is there now.
type LogOptions struct {
	Follow    bool // also what is printed later, until the run ends
	TailLines *int // only so many lines at the end; nil: all
}

// Streams connect a person with a command. A nil Stdin is empty; a nil Stdout or Stderr is discarded.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	TTY            bool                // a terminal: Stderr is not used
	Resize         <-chan TerminalSize // only with TTY; nil: the size never changes
}

// A TerminalSize is counted in characters.
type TerminalSize struct{ Width, Height uint16 }
