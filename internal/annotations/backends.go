package annotations

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A Backend is one destination for a Service's connections, given by name or address.
type Backend struct {
	Host string // a name in DNS, in lower case and without a final dot, or an IP address
	Port uint16 // 0: the target port of each of the Service's ports or, with SRV, the port in the records
	SRV  bool   // Host is the name of SRV records: _service._proto.name
}

// Addr returns Host as an address, if it is one.
func (b Backend) Addr() (netip.Addr, bool) {
	addr, err := netip.ParseAddr(b.Host)
	return addr, err == nil
}

// String returns the Backend in the syntax of the annotation.
func (b Backend) String() string {
	switch {
	case b.Port == 0:
		return b.Host
	case strings.Contains(b.Host, ":"):
		return fmt.Sprintf("[%s]:%d", b.Host, b.Port)
	}
	return fmt.Sprintf("%s:%d", b.Host, b.Port)
}

// mostBackends limits the number of names that one Service has resolved.
const mostBackends = 100

// ParseBackends parses a list of HOST or HOST:PORT, separated by commas. HOST is a name, an IP address (IPv6 in
// brackets if a port follows), or the name of SRV records, which begins with an underscore and has no port.
func ParseBackends(value string) ([]Backend, error) {
	var list []Backend
	for word := range strings.SplitSeq(value, ",") {
		b, err := parseBackend(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	if len(list) > mostBackends {
		return nil, fmt.Errorf("must not name more than %d backends", mostBackends)
	}
	slices.SortFunc(list, func(a, b Backend) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host),
			cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(list), nil
}

func parseBackend(word string) (Backend, error) {
	if word == "" {
		return Backend{}, errors.New("must be a list of HOST or HOST:PORT, separated by commas")
	}
	if addr, err := netip.ParseAddr(word); err == nil {
		return Backend{Host: addr.Unmap().String()}, nil
	}
	if ap, err := netip.ParseAddrPort(word); err == nil && ap.Port() != 0 {
		return Backend{Host: ap.Addr().Unmap().String(), Port: ap.Port()}, nil
	}
	host, port, ported := strings.Cut(word, ":")
	b := Backend{Host: strings.ToLower(strings.TrimSuffix(host, "."))}
	b.SRV = strings.HasPrefix(b.Host, "_")
	if ported {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Backend{}, fmt.Errorf("the port of %q must be a number from 1 to 65535", word)
		}
		b.Port = uint16(n)
	}
	if b.SRV && ported {
		return Backend{}, fmt.Errorf("%q must not have a port: SRV records bring their own", word)
	}
	return b, checkName(b)
}

// checkName rejects strings that cannot be a name in DNS. The name of SRV records begins with two labels that have an
// underscore (RFC 2782).
func checkName(b Backend) error {
	name := b.Host
	if b.SRV {
		parts := strings.SplitN(name, ".", 3)
		if len(parts) < 3 || !strings.HasPrefix(parts[1], "_") {
			return fmt.Errorf("%q must be of the form _service._protocol.name", b.Host)
		}
		name = strings.TrimPrefix(parts[0], "_") + "." + strings.TrimPrefix(parts[1], "_") + "." + parts[2]
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return fmt.Errorf("%q must be a name in DNS or an IP address: %s", b.Host, strings.Join(problems, "; "))
	}
	return nil
}

// checkPorts rejects backends whose ports do not fit svc, and removes all backends from w in that case.
func checkPorts(svc *v1.Service, w *Settings) field.ErrorList {
	path := field.NewPath("metadata", "annotations").Key(Backends)
	problem := ""
	for _, b := range w.Backends {
		switch {
		case len(svc.Spec.Ports) != 1 && (b.Port != 0 || b.SRV):
			problem = fmt.Sprintf("%s must not bring a port: the Service does not have exactly one", b)
		case b.Port == 0 && !b.SRV && slices.ContainsFunc(svc.Spec.Ports,
			func(p v1.ServicePort) bool { return p.TargetPort.Type == intstr.String }):
			problem = fmt.Sprintf("%s must say its port: a targetPort of the Service is a name, which only Pods know", b)
		case svc.Spec.Type == v1.ServiceTypeExternalName:
			problem = "may not be set on a Service of type ExternalName"
		}
	}
	if problem == "" {
		return nil
	}
	w.Backends = nil
	return field.ErrorList{field.Invalid(path, svc.Annotations[Backends], problem)}
}
