package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"viaduct/internal/node/runtime"
)

const (
	keptLogs     = 5                      // of each container, the present one included
	followPeriod = 100 * time.Millisecond // between two looks at a log that is followed
	tailBlock    = 32 << 10               // bytes read at once when a log is read from its end
)

func logPath(dir string, attempt int32) string {
	return filepath.Join(dir, strconv.Itoa(int(attempt))+".log")
}

// openLog makes the log of run attempt, and removes the oldest if there are more than keptLogs.
func openLog(dir string, attempt int32) (*os.File, error) {
	if err := os.Remove(logPath(dir, attempt-keptLogs)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing an old log: %w", err)
	}
	file, err := os.OpenFile(logPath(dir, attempt), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return file, nil
}

// Logs implements runtime.Runtime.
func (r *Runtime) Logs(ctx context.Context, run runtime.ContainerRun, opts runtime.LogOptions, out io.Writer) error {
	dir, err := r.containerDir(run.PodUID, run.Container)
	if err != nil {
		return err
	}
	file, err := os.Open(logPath(dir, run.Attempt))
	if err != nil {
		return fmt.Errorf("opening a container's log: %w", err)
	}
	defer func() { _ = file.Close() }() // it is only read
	if opts.TailLines != nil {
		if err := seekTail(file, *opts.TailLines); err != nil {
			return fmt.Errorf("finding the last lines of a log: %w", err)
		}
	}
	if opts.Follow {
		if c := r.find(run); c != nil {
			return follow(ctx, file, c.exited, out)
		}
	}
	return copyLog(out, file)
}

func copyLog(out io.Writer, log io.Reader) error {
	if _, err := io.Copy(out, log); err != nil {
		return fmt.Errorf("copying a container's log: %w", err)
	}
	return nil
}

// follow copies what is and what will be in the log, until the container has exited or ctx ends.
func follow(ctx context.Context, log io.Reader, exited <-chan struct{}, out io.Writer) error {
	ticker := time.NewTicker(followPeriod)
	defer ticker.Stop()
	for {
		if err := copyLog(out, log); err != nil {
			return err
		}
		select {
		case <-exited:
			return copyLog(out, log) // what was printed since
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// seekTail moves to the start of the last lines. A last line without a line end counts as a line.
func seekTail(file *os.File, lines int) error {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || lines <= 0 {
		return err
	}
	block := make([]byte, tailBlock)
	for at := end; at > 0; {
		size := min(at, tailBlock)
		at -= size
		if _, err := file.ReadAt(block[:size], at); err != nil {
			return err
		}
		for i := size - 1; i >= 0; i-- {
			if block[i] != '\n' || at+i == end-1 {
				continue
			}
			if lines--; lines == 0 {
				_, err := file.Seek(at+i+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}
