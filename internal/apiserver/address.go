package apiserver

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"viaduct/internal/apiserver/pki"
)

// URL returns where clients on this host reach the server.
func (s *Server) URL() string { return "https://" + s.address().String() }

// address returns where the server listens; the loopback address of the family if it listens on every address.
func (s *Server) address() netip.AddrPort {
	addr := s.listener.Addr().(*net.TCPAddr).AddrPort()
	ip := addr.Addr().Unmap()
	switch {
	case ip.IsUnspecified() && ip.Is4():
		ip = netip.MustParseAddr("127.0.0.1")
	case ip.IsUnspecified():
		ip = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(ip, addr.Port())
}

// advertised returns the address of this server in the endpoints of the Service kubernetes. It is invalid if other
// hosts cannot reach the server.
func (s *Server) advertised() netip.AddrPort {
	at := s.address()
	switch {
	case s.options.Advertise.IsValid():
		at = netip.AddrPortFrom(s.options.Advertise, at.Port())
	case len(s.options.AlsoListen) > 0:
		at = netip.AddrPortFrom(s.options.AlsoListen[0], at.Port())
	case !s.options.loopbackMode() && s.listensEverywhere():
		if ip, err := utilnet.ResolveBindAddress(s.listener.Addr().(*net.TCPAddr).IP); err == nil {
			addr, _ := netip.AddrFromSlice(ip)
			at = netip.AddrPortFrom(addr.Unmap(), at.Port())
		}
	}
	if at.Addr().IsLoopback() && !s.options.loopbackMode() {
		return netip.AddrPort{} // validation refuses loopback endpoints
	}
	return at
}

func (s *Server) listensEverywhere() bool { return s.listener.Addr().(*net.TCPAddr).IP.IsUnspecified() }

// servingPair issues the server's certificate for every name and address that clients may use.
func (s *Server) servingPair(ca *pki.Authority) (pki.Pair, error) {
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	addrs := []net.IP{
		net.IPv4(127, 0, 0, 1), net.IPv6loopback,
		s.address().Addr().AsSlice(), s.clusterIP.AsSlice(),
	}
	if s.options.Advertise.IsValid() {
		addrs = append(addrs, s.options.Advertise.AsSlice())
	}
	for _, a := range s.options.AlsoListen {
		addrs = append(addrs, a.AsSlice())
	}
	if s.listensEverywhere() {
		all, err := hostAddrs()
		if err != nil {
			return pki.Pair{}, err
		}
		addrs = append(addrs, all...)
	}
	return ca.Serving(names, addrs)
}

// hostAddrs returns the addresses of this host.
func hostAddrs() ([]net.IP, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of this host: %w", err)
	}
	var addrs []net.IP
	for _, a := range interfaces {
		if ipnet, ok := a.(*net.IPNet); ok {
			addrs = append(addrs, ipnet.IP)
		}
	}
	return addrs, nil
}
