package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// MaxTransaction is the size, in bytes, at which a transaction should end: its messages and answers fit into the
// socket's buffers, and the kernel holds the lock of all its tables for some milliseconds.
const MaxTransaction = 96 << 10

// answerTimeout bounds how long the kernel may take for one request. The kernel does all the work before it answers.
const answerTimeout = 30 * time.Second

// A Conn is a netlink socket to nf_tables. It belongs to the network namespace of the thread that opened it. One
// goroutine at a time may use it.
type Conn struct {
	fd   int
	port uint32 // the kernel's name for the socket, which notifications carry
	seq  uint32 // of the last message sent
	in   []byte
	out  []byte
}

// Open opens a Conn in the network namespace of the calling thread.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	c := &Conn{fd: fd, in: make([]byte, 256<<10)}
	if err := c.bind(); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("binding a netlink socket: %w", err)
	}
	return c, nil
}

func (c *Conn) bind() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		return err
	}
	if nl, ok := name.(*unix.SockaddrNetlink); ok {
		c.port = nl.Pid
	}
	return errors.Join(
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20),
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 2*MaxTransaction),
		c.setReceiveTimeout(answerTimeout),
	)
}

func (c *Conn) setReceiveTimeout(d time.Duration) error {
	limit := unix.NsecToTimeval(int64(d))
	return unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
}

// Close closes the socket. What was committed stays.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// A MessageError is the kernel's refusal of one message of a transaction.
type MessageError struct {
	Index int // of the message in the list given to Commit; -1: the transaction as a whole
	Errno unix.Errno
}

// Error is the text of the errno.
func (e MessageError) Error() string { return e.Errno.Error() }

// Unwrap returns the errno, for errors.Is.
func (e MessageError) Unwrap() error { return e.Errno }

// A CommitError lists the messages that the kernel refuses, in their order. The transaction changed nothing.
type CommitError []MessageError

// Error joins the texts of the refusals.
func (e CommitError) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns the refusals, for errors.Is and errors.As.
func (e CommitError) Unwrap() []error {
	list := make([]error, len(e))
	for i, one := range e {
		list[i] = one
	}
	return list
}

// Commit sends the messages as one transaction and awaits the answer: all of them take effect at once, or none does.
// The error is a CommitError if the kernel refuses messages. After any other error it is unknown whether the
// transaction took effect. An empty list does nothing.
func (c *Conn) Commit(list []Message) error {
	if len(list) == 0 {
		return nil
	}
	first := c.seq + 1
	c.out = c.out[:0]
	c.append(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	for i, m := range list {
		flags := m.flags
		if i == len(list)-1 {
			flags |= unix.NLM_F_ACK // the only answer if the kernel refuses nothing
		}
		c.append(messageType(m.kind), flags, m.fam, 0, m.body)
	}
	c.append(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	if err := unix.Sendto(c.fd, c.out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("sending %d bytes to nftables: %w", len(c.out), err)
	}
	return c.awaitAnswers(first, len(list))
}

// messageHeader is the length of struct nlmsghdr and struct nfgenmsg together, in bytes.
const messageHeader = unix.NLMSG_HDRLEN + 4

func messageType(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

// append adds one message with the next sequence number to c.out.
func (c *Conn) append(kind, flags uint16, fam Family, resource uint16, body []byte) {
	c.seq++
	out := c.out
	out = binary.NativeEndian.AppendUint32(out, uint32(messageHeader+len(body)))
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = binary.NativeEndian.AppendUint16(out, flags|unix.NLM_F_REQUEST)
	out = binary.NativeEndian.AppendUint32(out, c.seq)
	out = binary.NativeEndian.AppendUint32(out, 0) // the kernel fills in the port
	out = append(out, byte(fam), unix.NFNETLINK_V0)
	out = binary.BigEndian.AppendUint16(out, resource)
	c.out = append(out, body...)
}

// awaitAnswers reads the kernel's answers to a transaction of n messages that began with sequence number first. The
// answers come in the order of the messages. The answer to the last message ends them, or one to the transaction
// itself.
func (c *Conn) awaitAnswers(first uint32, n int) error {
	var refused CommitError
	for over := false; !over; {
		err := c.receive(func(a answer) error {
			if a.kind != unix.NLMSG_ERROR || a.seq < first || len(a.body) < 4 {
				return nil // a late answer to an earlier request
			}
			index := int(a.seq-first) - 1
			if errno := a.errno(); errno != 0 {
				refused = append(refused, MessageError{index, errno})
			}
			over = over || index == n-1 || index < 0
			return nil
		})
		if err != nil {
			return fmt.Errorf("awaiting the answer of nftables: %w", err)
		}
	}
	if len(refused) > 0 {
		return refused
	}
	return nil
}

// An answer is one message from the kernel. The body aliases the Conn's buffer.
type answer struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

// errno reads the errno of an answer of the type NLMSG_ERROR or NLMSG_DONE.
func (a answer) errno() unix.Errno {
	if len(a.body) < 4 {
		return 0
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(a.body)))
}

// attributes are those after struct nfgenmsg.
func (a answer) attributes() []byte { return a.body[min(4, len(a.body)):] }

// receive reads one datagram and calls each for the messages in it.
func (c *Conn) receive(each func(answer) error) error {
	n, _, err := unix.Recvfrom(c.fd, c.in, 0)
	for errors.Is(err, unix.EINTR) {
		n, _, err = unix.Recvfrom(c.fd, c.in, 0)
	}
	if err != nil {
		return err
	}
	return decodeAnswers(c.in[:n], each)
}

func decodeAnswers(b []byte, each func(answer) error) error {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return fmt.Errorf("the kernel's message of %d bytes has the length %d", len(b), size)
		}
		err := each(answer{
			kind: binary.NativeEndian.Uint16(b[4:]), flags: binary.NativeEndian.Uint16(b[6:]),
			seq: binary.NativeEndian.Uint32(b[8:]), body: b[unix.NLMSG_HDRLEN:size],
		})
		if err != nil {
			return err
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}
