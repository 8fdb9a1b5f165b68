//go:build !unix

package userspace

import (
	"io"
	"syscall"
)

// borrowRead reads once from c and passes the data to use, even if the data is empty.
func borrowRead(c io.Reader, _ syscall.RawConn, use func([]byte) error) (int, error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	n, err := c.Read(buf[:])
	if err != nil && err != io.EOF {
		return 0, err
	}
	return n, use(buf[:n])
}
