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

// httpCheck asks by GET. 200 to 399 is good. A redirect to another host is good as it stands: what the other host says
// is not this container's health, and a probe must not be led about the network.
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

// probeHeaders gives the headers to send and the Host ("" for that of the URL). A header that the probe sets to nothing
// is not sent, even where there is a default for it.
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
		header.Set("User-Agent", "") // net/http would put its own
	}
	return header, host
}

// probeClient makes a client that goes straight to the address, checks no certificate, and keeps no connection: an old
// connection would say that the program once could accept one.
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

// dialWithReset bounds the time a closed connection stays with the kernel, for the reason closeWithReset gives.
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
		return Answer{Bad, fmt.Sprintf("reading the answer: %v", err)}
	}
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return Answer{Bad, bounded(fmt.Sprintf("HTTP status %d: %s", response.StatusCode, body))}
	}
	return Answer{Good, string(body)}
}
