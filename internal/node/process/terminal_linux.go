package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/node/runtime"
)

// A terminal is a pseudoterminal, see pty(7): a command has its far end, and streams are connected to its near end.
type terminal struct {
	near, far *os.File
	copied    chan struct{} // closed when the output has been copied
	done      chan struct{} // closed when the command has ended
}

// openTerminal makes a terminal and gives its far end to the command.
func openTerminal(cmd *exec.Cmd) (*terminal, error) {
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	far, err := openFarEnd(near)
	if err != nil {
		_ = near.Close() // nothing was written
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	return &terminal{near: near, far: far, copied: make(chan struct{}), done: make(chan struct{})}, nil
}

func openFarEnd(near *os.File) (*os.File, error) {
	raw, err := near.SyscallConn()
	if err != nil {
		return nil, err
	}
	var number uint32
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			number, failed = unix.IoctlGetUint32(int(fd), unix.TIOCGPTN)
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return os.OpenFile("/dev/pts/"+strconv.FormatUint(uint64(number), 10), os.O_RDWR|unix.O_NOCTTY, 0)
}

// terminalAttributes puts a process into a session of its own, with its standard input as the controlling terminal. The
// session's leader leads a process group too.
func terminalAttributes(user *credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL, Credential: user.forKernel()}
}

// connect copies between the streams and the terminal, once the command has started.
func (t *terminal) connect(streams runtime.Streams) {
	_ = t.far.Close() // the command has its own descriptors
	go func() {
		defer close(t.copied)
		_, _ = io.Copy(orDiscard(streams.Stdout), t.near) // EIO: the command has closed the terminal
	}()
	if streams.Stdin != nil {
		go func() { _, _ = io.Copy(t.near, streams.Stdin) }() // an error means that one of the two has ended
	}
	go t.resize(streams.Resize)
}

func (t *terminal) resize(sizes <-chan runtime.TerminalSize) {
	for {
		select {
		case size, open := <-sizes:
			if !open {
				return
			}
			t.setSize(size)
		case <-t.done:
			return
		}
	}
}

// setSize changes the size of the terminal; the kernel sends SIGWINCH to the command.
func (t *terminal) setSize(size runtime.TerminalSize) {
	raw, err := t.near.SyscallConn()
	if err != nil {
		return // the terminal is closed
	}
	_ = raw.Control(func(fd uintptr) { // it fails only on a terminal that is closed
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
}

// close ends the copying. It waits for output of the command, but not longer than outputDelay: another process may
// still have the terminal.
func (t *terminal) close() {
	close(t.done)
	select {
	case <-t.copied:
	case <-time.After(outputDelay):
	}
	_ = t.near.Close() // the copying ends with it
	<-t.copied
}

// abandon closes a terminal whose command was not started.
func (t *terminal) abandon() {
	_ = t.far.Close() // nothing was written
	_ = t.near.Close()
}
