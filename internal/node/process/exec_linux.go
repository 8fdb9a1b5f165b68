package process

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/node/runtime"
)

// outputDelay is how long Exec waits for the output of a command that has ended: a grandchild may hold the pipe open.
const outputDelay = time.Second

// Exec implements runtime.Container. When ctx ends, the whole process group of the command is killed. A terminal is not
// supported.
func (c *container) Exec(ctx context.Context, command []string, streams runtime.Streams) (exitCode int, err error) {
	if streams.TTY {
		return 0, fmt.Errorf("running a command with a terminal: %w", runtime.ErrNotSupported)
	}
	spec := c.command
	spec.Argv = command
	cmd, err := spec.command()
	if err != nil {
		return 0, err
	}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = streams.Stdout, streams.Stderr, outputDelay
	if err := feed(cmd, streams.Stdin); err != nil {
		return 0, err
	}
	if err := c.spawner.start(cmd, processAttributes(spec.User)); err != nil {
		return 0, fmt.Errorf("starting %q: %w", command[0], err)
	}
	group := cmd.Process.Pid
	stopKilling := context.AfterFunc(ctx, func() { _ = unix.Kill(-group, unix.SIGKILL) })
	awaitExit(group)
	stopKilling()
	_ = unix.Kill(-group, unix.SIGKILL)
	_ = cmd.Wait() // the exit code says the same
	if ctx.Err() != nil {
		return -1, fmt.Errorf("running %q: %w", command[0], ctx.Err())
	}
	return cmd.ProcessState.ExitCode(), nil
}

// feed copies input to the command. The command's end does not wait for the input's end, which may never come: the copy
// ends at the next byte of the input, or when the caller closes the input.
func feed(cmd *exec.Cmd, input io.Reader) error {
	if input == nil {
		return nil
	}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("making a pipe for the input: %w", err)
	}
	go func() {
		_, _ = io.Copy(pipe, input) // an error means that one of the two has ended
		_ = pipe.Close()
	}()
	return nil
}

// Attach passes on what the container prints. Standard output and standard error are one stream. Input and a terminal
// are not supported: the standard input of a process is empty.
func (c *container) Attach(ctx context.Context, streams runtime.Streams) error {
	if streams.Stdin != nil || streams.TTY {
		return fmt.Errorf("attaching input or a terminal: %w", runtime.ErrNotSupported)
	}
	out := streams.Stdout
	if out == nil {
		out = io.Discard
	}
	none := 0
	return c.runtime.Logs(ctx, c.run, runtime.LogOptions{Follow: true, TailLines: &none}, out)
}
