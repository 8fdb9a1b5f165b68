//go:build unix

package userspace

import (
	"io"
	"os"
	"syscall"
)

// borrowRead waits until raw has something to read, reads once, and passes what it got to use, also when it is empty:
// the end of a stream, or an empty datagram. The buffer is borrowed only then: a thousand idle connections hold none.
func borrowRead(_ io.Reader, raw syscall.RawConn, use func([]byte) error) (n int, err error) {
	buf := (*[bufferSize]byte)(nil)
	waitErr := raw.Read(func(fd uintptr) bool {
		buf = buffers.Get().(*[bufferSize]byte)
		if n, err = readOnce(int(fd), buf[:]); err == syscall.EAGAIN {
			buffers.Put(buf)
			buf = nil
		}
		return buf != nil
	})
	if buf != nil {
		defer buffers.Put(buf)
	}
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	}
	return n, use(buf[:n])
}

func readOnce(fd int, buf []byte) (int, error) {
	for {
		if n, err := syscall.Read(fd, buf); err != syscall.EINTR {
			return n, err
		}
	}
}
