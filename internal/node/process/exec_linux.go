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

// Exec implements runtime.Container. When ctx ends, the whole process group of the command is killed.
func (c *container) Exec(ctx context.Context, command []string, streams runtime.Streams) (exitCode int, err error) {
	spec := c.command
	spec.Argv = command
	cmd, err := spec.command()
	if err != nil {
		return 0, err
	}
	start := c.startWithPipes
	if streams.TTY {
		start = c.startWithTerminal
	}
	finish, err := start(cmd, streams)
	if err != nil {
		return 0, fmt.Errorf("starting %q: %w", command[0], err)
	}
	group := cmd.Process.Pid
	stopKilling := context.AfterFunc(ctx, func() { _ = unix.Kill(-group, unix.SIGKILL) })
	awaitExit(group)
	stopKilling()
	_ = unix.Kill(-group, unix.SIGKILL)
	_ = cmd.Wait() // the exit code says the same
	finish()
	if ctx.Err() != nil {
		return -1, fmt.Errorf("running %q: %w", command[0], ctx.Err())
	}
	return cmd.ProcessState.ExitCode(), nil
}

// startWithPipes starts a command with its streams. finish is called after its end.
func (c *container) startWithPipes(cmd *exec.Cmd, streams runtime.Streams) (finish func(), err error) {
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = streams.Stdout, streams.Stderr, outputDelay
	if err := feed(cmd, streams.Stdin); err != nil {
		return nil, err
	}
	return func() {}, c.spawner.start(cmd, processAttributes(c.command.User))
}

// startWithTerminal starts a command in a terminal of its own. finish is called after its end.
func (c *container) startWithTerminal(cmd *exec.Cmd, streams runtime.Streams) (finish func(), err error) {
	t, err := openTerminal(cmd)
	if err != nil {
		return nil, err
	}
	if err := c.spawner.start(cmd, terminalAttributes(c.command.User)); err != nil {
		t.abandon()
		return nil, err
	}
	t.connect(streams)
	return t.close, nil
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
	none := 0
	return c.runtime.Logs(ctx, c.run, runtime.LogOptions{Follow: true, TailLines: &none},
		orDiscard(streams.Stdout))
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
