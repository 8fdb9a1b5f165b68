package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// answerTime bounds how long the kernel may take for one request. It does all the work before it answers.
const answerTime = 30 * time.Second

// A socket speaks with nftables in the network namespace in which it was opened. It is used by one goroutine at a time.
type socket struct {
	fd   int
	port uint32 // by which the kernel names us to others
	seq  uint32
	in   []byte
}

func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	s := &socket{fd: fd, in: make([]byte, 256<<10)}
	if err := s.bind(); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("binding a netlink socket: %w", err)
	}
	return s, nil
}

func (s *socket) bind() error {
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	if nl, ok := name.(*unix.SockaddrNetlink); ok {
		s.port = nl.Pid
	}
	for option, size := range map[int]int{unix.SO_RCVBUF: 1 << 20, unix.SO_SNDBUF: 2 * maxBatch} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, option, size); err != nil {
			return err
		}
	}
	limit := unix.NsecToTimeval(int64(answerTime))
	return unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
}

func (s *socket) close() error { return unix.Close(s.fd) }

// header appends a netlink and a netfilter header; the length is filled in by done.
func header(out []byte, kind, flags uint16, seq uint32, fam family, resource uint16) []byte {
	out = binary.NativeEndian.AppendUint32(out, 0)
	out = binary.NativeEndian.AppendUint16(out, kind)
	out = binary.NativeEndian.AppendUint16(out, flags|unix.NLM_F_REQUEST)
	out = binary.NativeEndian.AppendUint32(out, seq)
	out = binary.NativeEndian.AppendUint32(out, 0)
	out = append(out, byte(fam), unix.NFNETLINK_V0)
	return binary.BigEndian.AppendUint16(out, resource)
}

func done(out []byte, from int) []byte {
	binary.NativeEndian.PutUint32(out[from:], uint32(len(out)-from))
	return out
}

func ofTables(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

// A refusal is the kernel's no to one message of a batch, which therefore changed nothing at all.
type refusal struct {
	index int // of the message; -1: the batch as a whole
	errno unix.Errno
}

func (r refusal) Error() string { return r.errno.Error() }
func (r refusal) Unwrap() error { return r.errno }

// commit has all messages take effect at once, or none. The error is refusals joined, when the kernel says which
// messages it does not like; after any other error it is not known whether they took effect.
func (s *socket) commit(list []message) error {
	first := s.seq + 1
	var out []byte
	append1 := func(kind, flags uint16, fam family, resource uint16, body []byte) {
		s.seq++
		from := len(out)
		out = done(append(header(out, kind, flags, s.seq, fam, resource), body...), from)
	}
	append1(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	for i, m := range list {
		flags := m.flags
		if i == len(list)-1 {
			flags |= unix.NLM_F_ACK // the one answer there is if all goes well
		}
		append1(ofTables(m.kind), flags, m.fam, 0, m.body)
	}
	append1(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("sending %d bytes to nftables: %w", len(out), err)
	}
	return s.answers(first, len(list))
}

// answers reads what the kernel says of the batch of n messages that began with number first. Its answers come in the
// order of the messages, that to the last one at the end, unless the batch as a whole is refused.
func (s *socket) answers(first uint32, n int) error {
	var refused []error
	for {
		var over bool
		err := s.receive(func(kind uint16, flags uint16, seq uint32, body []byte) error {
			if kind != unix.NLMSG_ERROR || seq < first || len(body) < 4 {
				return nil // a late answer to what was asked before
			}
			errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			index := int(seq-first) - 1
			if errno != 0 {
				refused = append(refused, refusal{index, errno})
			}
			over = over || index == n-1 || index < 0
			return nil
		})
		if err != nil {
			return fmt.Errorf("hearing from nftables: %w", err)
		}
		if over {
			return errors.Join(refused...)
		}
	}
}

// receive reads one datagram and calls each for the messages in it.
func (s *socket) receive(each func(kind, flags uint16, seq uint32, body []byte) error) error {
	n, _, err := unix.Recvfrom(s.fd, s.in, 0)
	for errors.Is(err, unix.EINTR) {
		n, _, err = unix.Recvfrom(s.fd, s.in, 0)
	}
	if err != nil {
		return err
	}
	return messagesIn(s.in[:n], each)
}

func messagesIn(b []byte, each func(kind, flags uint16, seq uint32, body []byte) error) error {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return fmt.Errorf("a message of %d bytes among %d", size, len(b))
		}
		kind, flags, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]),
			binary.NativeEndian.Uint32(b[8:])
		if err := each(kind, flags, seq, b[unix.NLMSG_HDRLEN:size]); err != nil {
			return err
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}

// errChanged says that somebody changed what was being listed.
var errChanged = errors.New("it changed while it was listed")

// list asks for all objects of one kind and calls each with their attributes. errChanged means that it should be asked
// again.
func (s *socket) list(m message, each func(body []byte)) error {
	s.seq++
	seq, out := s.seq, []byte(nil)
	out = done(append(header(out, ofTables(m.kind), m.flags|unix.NLM_F_DUMP, seq, m.fam, 0), m.body...), 0)
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("asking nftables: %w", err)
	}
	for over, changed := false, false; ; {
		err := s.receive(func(kind, flags uint16, got uint32, body []byte) error {
			switch {
			case got != seq:
				return nil
			case kind == unix.NLMSG_ERROR || kind == unix.NLMSG_DONE:
				over = true
				if errno := unix.Errno(-int32(u32Native(body))); errno != 0 {
					return errno
				}
			case len(body) >= 4:
				each(body[4:])
			}
			changed = changed || flags&unix.NLM_F_DUMP_INTR != 0
			return nil
		})
		if errors.Is(err, unix.EINTR) || err == nil && over && changed {
			return errChanged
		}
		if err != nil || over {
			return err
		}
	}
}

func u32Native(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
