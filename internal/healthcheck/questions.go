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

// questions makes the question of a Target. What many Targets can share, they do.
type questions struct {
	connector *connector

	mu      sync.Mutex // protects clients
	clients map[tlsName]*http.Client
}

// tlsName is what two HTTP clients differ in: the name that is asked for, and whether the certificate must be valid for
// it.
type tlsName struct {
	name   string
	verify bool
}

func newQuestions() *questions {
	return &questions{connector: newConnector(), clients: map[tlsName]*http.Client{}}
}

// A question is put once. It gives the answer, if that is there at once, or else what waits for it.
type question func() (answer prober.Answer, later prober.Check)

func (q *questions) of(t Target) question {
	if t.Check.Kind == annotations.TCP {
		return q.tcp(t)
	}
	wait := q.slow(t)
	return func() (prober.Answer, prober.Check) { return prober.Answer{}, wait }
}

// slow are the questions whose answers are never there at once.
func (q *questions) slow(t Target) prober.Check {
	switch t.Check.Kind {
	case annotations.HTTP, annotations.HTTPS:
		return q.http(t)
	case annotations.GRPC:
		return grpcQuestion(t)
	}
	return dnsQuestion(t)
}

func (q *questions) tcp(t Target) question {
	judge := func(err error) prober.Answer {
		if err != nil {
			return unanswered(err, t.Check.Timeout)
		}
		return prober.Answer{Verdict: prober.Good}
	}
	return func() (prober.Answer, prober.Check) {
		wait, err := q.connector.ask(t.Addr)
		if wait == nil {
			return judge(err), nil
		}
		return prober.Answer{}, func(ctx context.Context) prober.Answer { return judge(wait(ctx)) }
	}
}

// unanswered says why there was no answer. What this host lacks says nothing about whom it asks.
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

// http asks by GET, straight at the address. It follows no redirect: another place's answer is not this one's. Of the
// answer it reads no more than the head: a body may have no end.
func (q *questions) http(t Target) prober.Check {
	client := q.client(t.Check)
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

// unwrapURL drops the URL from an error: who reads it knows the address.
func unwrapURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func (q *questions) client(check annotations.Check) *http.Client {
	key := tlsName{check.Host, false}
	if check.TLSName != "" {
		key = tlsName{check.TLSName, true}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.clients[key] == nil {
		q.clients[key] = &http.Client{
			Transport: &http.Transport{
				Proxy: nil, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
				DialContext: (&net.Dialer{KeepAlive: -1}).DialContext,
				// nolint:gosec // as a kubelet: a certificate is verified if a name for it is given
				TLSClientConfig: &tls.Config{ServerName: key.name, InsecureSkipVerify: !key.verify},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return q.clients[key]
}

func grpcQuestion(t Target) prober.Check {
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

// dnsQuestion asks for a name, which there must be, or, if none is given, for the root: then any answer shows that
// somebody answers.
func dnsQuestion(t Target) prober.Check {
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
