package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
)

// file is the history on disk. It has two files of lines: when the newer one is full, the older one is dropped.
type file struct {
	path string
	now  *os.File
	size int64 // size of the newer file, in bytes
	head int64 // size of the snapshot at the start of the newer file, in bytes
}

func openFile(path string) (*file, error) {
	now, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := now.Stat()
	if err != nil {
		return nil, errors.Join(err, now.Close())
	}
	f := &file{path: path, now: now, size: info.Size()}
	return f, f.endLine()
}

// endLine ends a line that the previous process left incomplete, so that the next line stays readable.
func (f *file) endLine() error {
	if f.size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.now.ReadAt(last, f.size-1); err != nil || last[0] == '\n' {
		return err
	}
	return f.append([]byte{'\n'})
}

// append writes lines completely or not at all: a partial write is removed again.
func (f *file) append(lines []byte) error {
	if _, err := f.now.Write(lines); err != nil {
		return errors.Join(err, f.now.Truncate(f.size))
	}
	f.size += int64(len(lines))
	return nil
}

// rotate makes the newer file the older one, and starts a new file with head.
func (f *file) rotate(head []byte) error {
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		return err
	}
	next, err := os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return errors.Join(err, os.Rename(f.path+".1", f.path))
	}
	old := f.now
	f.now, f.size, f.head = next, 0, int64(len(head))
	return errors.Join(f.append(head), old.Close())
}

// longestLine is the maximum length of one line, in bytes.
const longestLine = 1 << 20

// each calls do for every line of both files, the oldest line first. It skips lines that are not a Change.
func (f *file) each(do func(Change)) error {
	for _, path := range []string{f.path + ".1", f.path} {
		in, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, longestLine)
		for lines.Scan() {
			var c Change
			if json.Unmarshal(lines.Bytes(), &c) == nil && c.Service != "" {
				do(c)
			}
		}
		if err := errors.Join(lines.Err(), in.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) close() error { return f.now.Close() }
