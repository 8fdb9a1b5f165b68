package prober

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// maxRedirects is how many redirects on the same host are followed.
const maxRedirects = 10

// httpCheck sends a GET. Status 200 to 399 is good. A redirect to another host is good and is not followed: the answer
// of another host says nothing about this container, and a container must not direct probes through the network.
func httpCheck(action *v1.HTTPGetAction, target Target) (Check, error) {
	port, err := findPort(action.Port, target.Ports)
	if err != nil {
		return nil, fmt.Errorf("httpGet: %w", err)
	}
	where, err := probeURL(action, net.JoinHostPort(hostOr(action.Host, target), strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("httpGet: %w", err)
	}
	header, host := probeHeaders(action.HTTPHeaders)
	client := probeClient()
	return func(ctx context.Context) Answer {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
		if err != nil {
			return Answer{Unknown, err.Error()}
		}
		request.Header, request.Host = header.Clone(), host
		return ask(client, request)
	}, nil
}

func probeURL(action *v1.HTTPGetAction, hostPort string) (string, error) {
	scheme := strings.ToLower(string(action.Scheme))
	switch scheme {
	case "":
		scheme = "http"
	case "http", "https":
	default:
		return "", fmt.Errorf("scheme %q is neither HTTP nor HTTPS", action.Scheme)
	}
	path := action.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u, err := url.Parse(path)
	if err != nil {
		return "", fmt.Errorf("path %q: %w", action.Path, err)
	}
	u.Scheme, u.Host = scheme, hostPort
	return u.String(), nil
}

// probeHeaders gives the headers to send and the Host (empty: that of the URL). A header that the probe sets to an
// empty value is not sent, not even with its default.
func probeHeaders(headers []v1.HTTPHeader) (header http.Header, host string) {
	header = http.Header{"User-Agent": {UserAgent}, "Accept": {"*/*"}}
	named := map[string]bool{}
	for _, h := range headers {
		name := http.CanonicalHeaderKey(h.Name)
		if name == "Host" {
			host = h.Value
			continue
		}
		if !named[name] {
			named[name] = true
			header.Del(name)
		}
		if h.Value != "" || name != "Accept" && name != "User-Agent" {
			header.Add(name, h.Value)
		}
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "") // or net/http would send its own
	}
	return header, host
}

// probeClient makes a client without a proxy, without verification of certificates and without keep-alive: a connection
// that was kept would only show that the program accepted connections once.
func probeClient() *http.Client {
	transport := &http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true,
		Proxy:              nil,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a kubelet checks none either
		DialContext:        dialWithReset,
	}
	return &http.Client{Transport: transport, CheckRedirect: sameHostOnly}
}

// dialWithReset bounds the time that a closed connection stays in the kernel, for the reason given at closeWithReset.
func dialWithReset(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: time.Minute}).DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(1)
	}
	return conn, err
}

func sameHostOnly(next *http.Request, before []*http.Request) error {
	if next.URL.Hostname() != before[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(before) >= maxRedirects {
		return errors.New("too many redirects")
	}
	return nil
}

func ask(client *http.Client, request *http.Request) Answer {
	response, err := client.Do(request)
	if err != nil {
		return Answer{Bad, err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOutput))
	if err != nil {
		return Answer{Bad, fmt.Sprintf("reading the response: %v", err)}
	}
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return Answer{Bad, bounded(fmt.Sprintf("HTTP status %d: %s", response.StatusCode, body))}
	}
	return Answer{Good, string(body)}
}
