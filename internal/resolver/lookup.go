package resolver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Limits of the work for one name.
const (
	maxAliases = 8    // CNAMEs in a row
	maxTargets = 100  // of SRV records
	udpSize    = 1232 // bytes; the size that avoids fragmentation (DNS flag day 2020)
)

// found is the result of one attempt.
type found struct {
	addrs  []netip.AddrPort
	ttl    time.Duration
	silent map[uint16]bool // dns.TypeA or dns.TypeAAAA, if no server replied for it
}

// merged returns the addresses, sorted and distinct. Those of a family without a reply are taken from last.
func (f found) merged(last []netip.AddrPort) []netip.AddrPort {
	all := slices.Clone(f.addrs)
	for _, a := range last {
		if f.silent[typeOf(a.Addr())] {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}

func typeOf(a netip.Addr) uint16 {
	if a.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

// lookup resolves one name once.
type lookup struct {
	hosts  map[string][]netip.Addr
	config *dns.ClientConfig
	broken error // why config is nil
}

func (r *Resolver) newLookup() *lookup {
	l := &lookup{hosts: readHosts(r.opts.Hosts)}
	if len(r.opts.Servers) > 0 {
		l.config = &dns.ClientConfig{Servers: r.opts.Servers, Ndots: 1, Timeout: 2, Attempts: 2}
		return l
	}
	l.config, l.broken = dns.ClientConfigFromFile("/etc/resolv.conf")
	return l
}

// name resolves n. With addresses, an error says which part failed.
func (l *lookup) name(ctx context.Context, n Name) (found, error) {
	if n.SRV {
		return l.service(ctx, n.Host)
	}
	return l.host(ctx, n.Host, n.Port)
}

// service resolves the targets of SRV records.
func (l *lookup) service(ctx context.Context, name string) (found, error) {
	reply, err := l.exchange(ctx, dns.Fqdn(name), dns.TypeSRV)
	if err != nil {
		return found{}, err
	}
	all := found{ttl: math.MaxInt64, silent: map[uint16]bool{}}
	var problems []error
	targets := 0
	for _, rr := range reply.Answer {
		srv, ok := rr.(*dns.SRV)
		if !ok || !strings.EqualFold(srv.Hdr.Name, dns.Fqdn(name)) || srv.Target == "." || srv.Port == 0 {
			continue
		}
		if targets++; targets > maxTargets {
			problems = append(problems, fmt.Errorf("more than %d targets", maxTargets))
			break
		}
		one, err := l.host(ctx, strings.TrimSuffix(srv.Target, "."), srv.Port)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", srv.Target, err))
		}
		all.addrs = append(all.addrs, one.addrs...)
		all.ttl = min(all.ttl, one.ttl, seconds(srv.Hdr.Ttl))
	}
	if targets == 0 {
		return found{}, errors.New("there is no such SRV record")
	}
	if len(problems) > 0 { // keep the last answer: the addresses of the failed target are not known
		return found{}, errors.Join(problems...)
	}
	return all, nil
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }

// host resolves a name by the hosts file or else by DNS, where it takes the first name of the search list that exists.
func (l *lookup) host(ctx context.Context, host string, port uint16) (found, error) {
	if addrs := l.hosts[strings.ToLower(host)]; len(addrs) > 0 {
		return found{addrs: withPort(addrs, port)}, nil
	}
	if l.broken != nil {
		return found{}, l.broken
	}
	var first error
	for _, name := range l.config.NameList(host) {
		f, err := l.families(ctx, name, port)
		if err == nil || len(f.addrs) > 0 {
			return f, err
		}
		if first == nil || errors.Is(first, errNoName) {
			first = err
		}
		if !errors.Is(err, errNoName) {
			break // this name may exist; the next one of the list would be another name
		}
	}
	return found{}, first
}

func withPort(addrs []netip.Addr, port uint16) (list []netip.AddrPort) {
	for _, a := range addrs {
		list = append(list, netip.AddrPortFrom(a.Unmap(), port))
	}
	return list
}

// errNoName: the name does not exist, or has no address.
var errNoName = errors.New("there is no such name")

// families queries the addresses of both families at the same time.
func (l *lookup) families(ctx context.Context, name string, port uint16) (found, error) {
	kinds := []uint16{dns.TypeA, dns.TypeAAAA}
	addrs, ttls, errs := make([][]netip.Addr, 2), make([]time.Duration, 2), make([]error, 2)
	var both sync.WaitGroup
	for i, kind := range kinds {
		both.Go(func() { addrs[i], ttls[i], errs[i] = l.addresses(ctx, name, kind) })
	}
	both.Wait()
	f := found{ttl: math.MaxInt64, silent: map[uint16]bool{}}
	var silent error
	for i, kind := range kinds {
		f.addrs = append(f.addrs, withPort(addrs[i], port)...)
		if len(addrs[i]) > 0 {
			f.ttl = min(f.ttl, ttls[i])
		}
		if errs[i] != nil && !errors.Is(errs[i], errNoName) {
			f.silent[kind], silent = true, errs[i]
		}
	}
	if len(f.addrs) == 0 && silent == nil {
		return found{}, errNoName
	}
	return f, silent
}

// addresses follows the aliases of a name to its addresses of one family.
func (l *lookup) addresses(ctx context.Context, name string, kind uint16) ([]netip.Addr, time.Duration, error) {
	ttl := time.Duration(math.MaxInt64)
	for range maxAliases {
		reply, err := l.exchange(ctx, name, kind)
		if err != nil {
			return nil, 0, err
		}
		addrs, end, lives := read(reply, name, kind)
		ttl = min(ttl, lives)
		switch {
		case len(addrs) > 0:
			return addrs, ttl, nil
		case end == name:
			return nil, 0, errNoName
		}
		name = end // the reply does not contain the addresses of the alias
	}
	return nil, 0, fmt.Errorf("more than %d aliases in a row", maxAliases)
}

// read returns the addresses of name in reply, following its aliases, and the last name of the chain. Records of other
// names are ignored.
func read(reply *dns.Msg, name string, kind uint16) (addrs []netip.Addr, end string, ttl time.Duration) {
	ttl = time.Duration(math.MaxInt64)
	for range maxAliases {
		alias := ""
		for _, rr := range reply.Answer {
			h := rr.Header()
			if !strings.EqualFold(h.Name, name) {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias, ttl = c.Target, min(ttl, seconds(h.Ttl))
			}
			if a, ok := addressIn(rr); ok && h.Rrtype == kind {
				addrs, ttl = append(addrs, a), min(ttl, seconds(h.Ttl))
			}
		}
		if len(addrs) > 0 || alias == "" {
			return addrs, name, ttl
		}
		name = alias
	}
	return nil, name, ttl
}

func addressIn(rr dns.RR) (netip.Addr, bool) {
	var ip net.IP
	switch r := rr.(type) {
	case *dns.A:
		ip = r.A.To4()
	case *dns.AAAA:
		ip = r.AAAA
	}
	return netip.AddrFromSlice(ip)
}

// exchange queries the servers in turn until one replies.
func (l *lookup) exchange(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	query := new(dns.Msg)
	query.SetQuestion(name, kind)
	query.SetEdns0(udpSize, false)
	var last error
	for range max(l.config.Attempts, 1) {
		for _, server := range l.config.Servers {
			if _, _, err := net.SplitHostPort(server); err != nil {
				server = net.JoinHostPort(server, l.config.Port)
			}
			reply, err := l.once(ctx, query, server)
			switch {
			case err != nil:
				last = err
			case reply.Rcode == dns.RcodeNameError:
				return nil, errNoName
			case reply.Rcode != dns.RcodeSuccess:
				last = fmt.Errorf("the name server answers %s", dns.RcodeToString[reply.Rcode])
			default:
				return reply, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	if last == nil {
		last = errors.New("no name server is known")
	}
	return nil, last
}

// once queries one server by UDP, and by TCP if the reply is truncated.
func (l *lookup) once(ctx context.Context, query *dns.Msg, server string) (*dns.Msg, error) {
	timeout := time.Duration(max(l.config.Timeout, 1)) * time.Second
	client := &dns.Client{Timeout: timeout, UDPSize: udpSize}
	reply, _, err := client.ExchangeContext(ctx, query, server)
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.ExchangeContext(ctx, query, server)
	}
	var timed net.Error
	switch {
	case errors.As(err, &timed) && timed.Timeout():
		return nil, errors.New("the name server does not answer")
	case err != nil:
		return nil, fmt.Errorf("asking the name server: %w", err)
	case len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, query.Question[0].Name):
		return nil, errors.New("the name server answers another question")
	}
	return reply, nil
}
