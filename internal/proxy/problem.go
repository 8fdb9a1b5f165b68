package proxy

import (
	"errors"
	"fmt"
	"syscall"

	"viaduct/internal/routing"
)

// The reasons of the Events that a Proxy writes on Services.
const (
	PortNotBound    = "PortNotBound"    // the Backend could not serve one address and port
	EndpointRefused = "EndpointRefused" // an EndpointSlice names an address that connections must not be sent to
	AddressConflict = "AddressConflict" // another Service owns the address and port
	// HealthCheckNotServed is the reason that kube-proxy uses. The port of the Service's healthCheckNodePort could not be
	// bound.
	HealthCheckNotServed = "FailedToStartServiceHealthcheck"
	PolicyNotServed      = "PolicyNotServed"   // the Backend spreads connections at random instead
	InvalidAnnotation    = "InvalidAnnotation" // a balancing annotation cannot be parsed
)

// problem is a request of a Service that the Proxy does not fulfil.
type problem struct {
	reason string // the Event's reason; empty: no Event is written, only explain shows the problem
	text   string
}

func lostProblem(l routing.Lost) problem {
	return problem{AddressConflict, fmt.Sprintf("%s also belongs to Service %s, which is older and gets the "+
		"connections; give one of them another address or port",
		l.Frontend.Key, l.To)}
}

func refusedProblem(r routing.Refused) problem {
	return problem{EndpointRefused, fmt.Sprintf("no connection is sent to the endpoint %s: it %s", r.Address, r.Rule)}
}

func bindProblem(f *routing.FrontendError) problem {
	return problem{PortNotBound, fmt.Sprintf("%s is not served: %v; %s", f.Key, f.Err, advice(f))}
}

// advice returns what the reader of the Event can do. It depends on the cause, not on the backend.
func advice(f *routing.FrontendError) string {
	switch {
	case errors.Is(f.Err, errors.ErrUnsupported):
		return "this proxy backend cannot do that, the other ports of the Service are served"
	case errors.Is(f.Err, syscall.EACCES), errors.Is(f.Err, syscall.EPERM):
		return fmt.Sprintf("low ports need a privilege: pick a Service port of 1024 or more, or run viaduct as root, or "+
			"`setcap cap_net_bind_service=+ep` on its binary, or `sysctl net.ipv4.ip_unprivileged_port_start=%d`", f.Key.Port)
	case errors.Is(f.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("another process has %s, or has the port on all addresses: "+
			"find it with `ss -%snp 'sport = :%d'` and stop it, "+
			"or give the Service another port", f.Key.Dest(), listing(f.Key.Proto), f.Key.Port)
	case errors.Is(f.Err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("%s is not an address of this host: cluster IPs must come from a service CIDR inside "+
			"127.0.0.0/8 for the "+
			"userspace proxy, and other addresses must be set on an interface", f.Key.Addr)
	case errors.Is(f.Err, syscall.EMFILE), errors.Is(f.Err, syscall.ENFILE):
		return "the limit of open files is reached: raise it with `ulimit -n`"
	}
	return "it is tried again"
}

// listing is the option of ss that lists the servers of protocol p.
func listing(p routing.Proto) string {
	if p == routing.UDP {
		return "lu"
	}
	return "lt"
}
