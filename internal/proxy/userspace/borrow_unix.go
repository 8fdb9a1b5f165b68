//go:build unix

package userspace

import (
	"io"
	"os"
	"syscall"
)

// borrowRead waits until raw is readable, reads once, and passes the data to use. The data can be empty: at the end of
// a stream, or for an empty datagram. The buffer is taken from the pool only after the wait, so a thousand idle
// connections hold no buffer.
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
