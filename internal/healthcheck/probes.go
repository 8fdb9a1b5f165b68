package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/prober"
)

// probes makes the probe of each Target. Targets share the connector and the HTTP clients.
type probes struct {
	connector *connector

	mu      sync.Mutex // protects clients
	clients map[tlsName]*http.Client
}

// tlsName tells HTTP clients apart: the server name they send, and whether the certificate must be valid for it.
type tlsName struct {
	name   string
	verify bool
}

func newProbes() *probes {
	return &probes{connector: newConnector(), clients: map[tlsName]*http.Client{}}
}

// A probe is sent by each call. It returns the answer if that is there at once, and otherwise later,
// which waits for it.
type probe func() (answer prober.Answer, later prober.Check)

func (p *probes) of(t Target) probe {
	if t.Check.Kind == annotations.TCP {
		return p.tcp(t)
	}
	wait := p.waiting(t)
	return func() (prober.Answer, prober.Check) { return prober.Answer{}, wait }
}

// waiting returns the probe of a kind whose answer is never there at once.
func (p *probes) waiting(t Target) prober.Check {
	switch t.Check.Kind { // others: a dns check; a tcp check answers at once and does not come here
	case annotations.HTTP, annotations.HTTPS:
		return p.http(t)
	case annotations.GRPC:
		return grpcProbe(t)
	}
	return dnsProbe(t)
}

func (p *probes) tcp(t Target) probe {
	judge := func(err error) prober.Answer {
		if err != nil {
			return unanswered(err, t.Check.Timeout)
		}
		return prober.Answer{Verdict: prober.Good}
	}
	return func() (prober.Answer, prober.Check) {
		wait, err := p.connector.connect(t.Addr)
		if wait == nil {
			return judge(err), nil
		}
		return prober.Answer{}, func(ctx context.Context) prober.Answer { return judge(wait(ctx)) }
	}
}

// unanswered is the answer to a probe that failed with err. A lack of this host, such as of file descriptors, says
// nothing about the target: the verdict is Unknown.
func unanswered(err error, timeout time.Duration) prober.Answer {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, own) {
			return prober.Answer{Verdict: prober.Unknown, Output: own.Error()}
		}
	}
	var timed net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timed) &&
		timed.Timeout() {
		return prober.Answer{Output: fmt.Sprintf("no answer within %v", timeout)}
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return prober.Answer{Output: number.Error()}
	}
	return prober.Answer{Output: err.Error()}
}

// http sends a GET to the address itself. It does not follow redirects, whose answer would come from another address,
// and does not read the body, which may never end.
func (p *probes) http(t Target) prober.Check {
	client := p.client(t.Check)
	url := fmt.Sprintf("%s://%s%s", t.Check.Kind, t.Addr, t.Check.Path)
	return func(ctx context.Context) prober.Answer {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return prober.Answer{Verdict: prober.Unknown, Output: err.Error()}
		}
		request.Header.Set("User-Agent", prober.UserAgent)
		request.Host = t.Check.Host
		response, err := client.Do(request)
		if err != nil {
			return unanswered(unwrapURL(err), t.Check.Timeout)
		}
		defer func() { _ = response.Body.Close() }()
		if !t.Check.Expects(response.StatusCode) {
			return prober.Answer{Output: fmt.Sprintf("HTTP status %d, want %s", response.StatusCode, t.Check.Status)}
		}
		return prober.Answer{Verdict: prober.Good}
	}
}

// unwrapURL removes the URL from an error: its readers know the address.
func unwrapURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func (p *probes) client(check annotations.Check) *http.Client {
	key := tlsName{check.Host, false}
	if check.TLSName != "" {
		key = tlsName{check.TLSName, true}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients[key] == nil {
		p.clients[key] = &http.Client{
			Transport: &http.Transport{
				Proxy: nil, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
				DialContext: (&net.Dialer{KeepAlive: -1}).DialContext,
				// nolint:gosec // as a kubelet: a certificate is verified if a name for it is given
				TLSClientConfig: &tls.Config{ServerName: key.name, InsecureSkipVerify: !key.verify},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return p.clients[key]
}

func grpcProbe(t Target) prober.Check {
	service := t.Check.Service
	ask, err := prober.NewCheck(v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: int32(t.Addr.Port()), Service: &service}},
		prober.Target{Addr: t.Addr.Addr()})
	if err != nil {
		return func(context.Context) prober.Answer {
			return prober.Answer{Verdict: prober.Unknown, Output: err.Error()}
		}
	}
	return func(ctx context.Context) prober.Answer {
		answer := ask(ctx)
		if ctx.Err() != nil {
			return unanswered(ctx.Err(), t.Check.Timeout)
		}
		return answer
	}
}

// dnsProbe asks for the address of Check.Name, which must exist. Without a name it asks for the root, and any answer is
// good.
func dnsProbe(t Target) prober.Check {
	address := net.JoinHostPort(t.Addr.Addr().String(), strconv.Itoa(int(t.Addr.Port())))
	return func(ctx context.Context) prober.Answer {
		query := new(dns.Msg)
		query.SetQuestion(dns.Fqdn(t.Check.Name), dns.TypeA)
		reply, _, err := (&dns.Client{Timeout: t.Check.Timeout}).ExchangeContext(ctx, query, address)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return unanswered(err, t.Check.Timeout)
		case err != nil:
			return prober.Answer{Output: "the answer ended early"}
		case t.Check.Name == "":
		case reply.Rcode != dns.RcodeSuccess:
			return prober.Answer{Output: fmt.Sprintf("%s for %s", dns.RcodeToString[reply.Rcode], t.Check.Name)}
		}
		return prober.Answer{Verdict: prober.Good}
	}
}
