package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"viaduct/internal/explain/collect"
)

// controllerAccess is the address of a 'viaduct controller' and the credentials for it.
type controllerAccess struct {
	url    string // "": the API server is used instead
	caFile string // PEM; "": the system's authorities, or no verification on a loopback address
	token  string // bearer token; "": none
}

// get reads path from the controller. An answer other than 200 is an error with the answer's text.
func (a controllerAccess) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, collect.AskTimeout)
	defer cancel()
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(a.url, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, collect.BareURL(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(data)))
	}
	return data, err
}

// client returns a client that sends the token only to a server whose certificate was verified, or to this host. A
// controller makes a new certificate at each start, which no known authority has signed. The client follows no
// redirect.
func (a controllerAccess) client() (*http.Client, error) {
	to, err := url.Parse(a.url)
	if err != nil {
		return nil, fmt.Errorf("--controller: %w", err)
	}
	local := isLoopback(to.Hostname())
	if to.Scheme != "https" && (to.Scheme != "http" || !local) {
		return nil, fmt.Errorf("--controller must be an https URL, such as https://127.0.0.1:%d", defaultSecurePort)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case a.caFile != "":
		if config.RootCAs, err = readCertificates(a.caFile); err != nil {
			return nil, fmt.Errorf("--controller-ca: %w", err)
		}
	case local:
		config.InsecureSkipVerify = true //nolint:gosec // the connection does not leave this host
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// isLoopback reports whether host is an address that only this host reaches.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

func readCertificates(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s contains no PEM certificate", file)
	}
	return pool, nil
}
