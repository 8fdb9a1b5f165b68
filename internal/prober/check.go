package prober

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// UserAgent is the user agent of probes over HTTP and gRPC. It begins with "kube-probe/", because programs that leave
// probes out of their logs look for that.
const UserAgent = "kube-probe/viaduct"

// maxOutput bounds the output that is kept of an answer, in bytes.
const maxOutput = 10 << 10

// A Verdict says what one answer means.
type Verdict int

// The verdicts. Unknown means that the check could not be made, which says nothing about the target: an Unknown answer
// is reported, but not counted.
const (
	Bad Verdict = iota
	Good
	Unknown
)

// An Answer is the result of one check.
type Answer struct {
	Verdict Verdict
	Output  string // for people: the response, or the error; at most 10 KiB
}

// A Check probes once. It returns when ctx ends, or before.
type Check func(ctx context.Context) Answer

// A Target is what a probe checks.
type Target struct {
	Addr  netip.Addr         // the Pod's address, for a probe that names no host
	Ports []v1.ContainerPort // the container's ports, to find one by its name

	// Exec runs a command in the container and gives its output and exit code. An error means that the command could not
	// be started or did not end in time.
	Exec func(ctx context.Context, command []string) (output string, code int, err error)
}

// NewCheck makes the check of a handler. The error says which field of the handler is wrong.
func NewCheck(handler v1.ProbeHandler, target Target) (Check, error) {
	switch {
	case handler.HTTPGet != nil:
		return httpCheck(handler.HTTPGet, target)
	case handler.TCPSocket != nil:
		port, err := findPort(handler.TCPSocket.Port, target.Ports)
		if err != nil {
			return nil, fmt.Errorf("tcpSocket: %w", err)
		}
		return tcpCheck(net.JoinHostPort(hostOr(handler.TCPSocket.Host, target), strconv.Itoa(port))), nil
	case handler.GRPC != nil:
		return grpcCheck(handler.GRPC, target)
	case handler.Exec != nil:
		return execCheck(handler.Exec.Command, target)
	}
	return nil, errors.New("the probe names no handler")
}

// findPort gives the number of a port that is named or numbered.
func findPort(port intstr.IntOrString, ports []v1.ContainerPort) (int, error) {
	number := port.IntValue()
	if port.Type == intstr.String {
		for _, p := range ports {
			if p.Name == port.StrVal {
				number = int(p.ContainerPort)
			}
		}
	}
	if number < 1 || number > 65535 {
		return 0, fmt.Errorf("port %q is neither a number from 1 to 65535 nor the name of a port of the container",
			port.String())
	}
	return number, nil
}

func hostOr(host string, target Target) string {
	if host != "" {
		return host
	}
	return target.Addr.String()
}

func tcpCheck(address string) Check {
	return func(ctx context.Context) Answer {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return Answer{Bad, err.Error()}
		}
		closeWithReset(conn)
		return Answer{Verdict: Good}
	}
}

// closeWithReset ends a connection so that a probe every second does not fill the host with sockets in TIME_WAIT. What
// Close says no longer matters.
func closeWithReset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func execCheck(command []string, target Target) (Check, error) {
	if len(command) == 0 || target.Exec == nil {
		return nil, errors.New("exec: there is no command, or no way to run one")
	}
	return func(ctx context.Context) Answer {
		output, code, err := target.Exec(ctx, command)
		switch {
		case ctx.Err() != nil:
			return Answer{Bad, fmt.Sprintf("command %q did not end in time", command)}
		case err != nil:
			return Answer{Unknown, err.Error()}
		case code != 0:
			return Answer{Bad, bounded(fmt.Sprintf("exit code %d: %s", code, output))}
		}
		return Answer{Good, bounded(output)}
	}, nil
}

func bounded(output string) string {
	return output[:min(len(output), maxOutput)]
}
