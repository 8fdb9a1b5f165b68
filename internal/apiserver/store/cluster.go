package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/storage/etcd3"
)

// Cluster says how to reach an etcd cluster. The files are PEM; they are used for https URLs only.
type Cluster struct {
	Servers  []string // URLs; none: no cluster
	CAFile   string   // the authority of the servers' certificates; empty: the host's authorities
	CertFile string   // the client certificate, with KeyFile; empty: none
	KeyFile  string
}

// Check returns an error if c is contradictory or incomplete.
func (c *Cluster) Check() error {
	files := c.CAFile + c.CertFile + c.KeyFile
	if len(c.Servers) == 0 && files != "" {
		return errors.New("certificates for etcd are given, but no URL of an etcd server")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("a client certificate for etcd needs both a certificate and its key")
	}
	for _, server := range c.Servers {
		if err := c.checkServer(server, files != ""); err != nil {
			return err
		}
	}
	return nil
}

// checkServer checks the URL of one server, and that it has the scheme of the first one.
func (c *Cluster) checkServer(server string, hasFiles bool) error {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is not the URL of an etcd server: want one such as https://10.0.0.1:2379", server)
	case u.Port() == "":
		return fmt.Errorf("the etcd server %q has no port: want one such as %s:2379", server,
			strings.TrimSuffix(server, "/"))
	case !strings.HasPrefix(c.Servers[0], u.Scheme+":"):
		return fmt.Errorf("the etcd servers %s and %s have different schemes: want https for all, or http for all",
			c.Servers[0], server)
	case u.Scheme == "http" && hasFiles:
		return fmt.Errorf("certificates for etcd are given, but %s would not be encrypted: want https", server)
	}
	return nil
}

func (c *Cluster) tls() (*tls.Config, error) {
	if !strings.HasPrefix(c.Servers[0], "https:") {
		return nil, nil
	}
	info := transport.TLSInfo{CertFile: c.CertFile, KeyFile: c.KeyFile, TrustedCAFile: c.CAFile}
	// it reads the certificate for each connection, so that a renewed certificate is used
	config, err := info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the certificates for etcd: %w", err)
	}
	return config, nil
}

// How long the members of a cluster may be silent. They matter for a member that hangs; the end of a killed member is
// noticed at once.
const (
	dialTimeout      = 5 * time.Second
	keepaliveTime    = 10 * time.Second // not less: a member closes connections that ping more often than every 5 s
	keepaliveTimeout = 5 * time.Second
)

// How long a start waits for a cluster, how often it logs that, and how often it tries.
const (
	connectTimeout = time.Minute
	reportInterval = 5 * time.Second
	retryInterval  = 250 * time.Millisecond
)

// connect returns a client of the cluster once a majority of the members answers. The client uses another member
// when one dies.
func connect(ctx context.Context, c Cluster, log *slog.Logger) (*kubernetes.Client, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	config, err := c.tls()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.New(clientv3.Config{
		Endpoints: c.Servers, TLS: config, DialTimeout: dialTimeout,
		DialKeepAliveTime: keepaliveTime, DialKeepAliveTimeout: keepaliveTimeout, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %s: %w", strings.Join(c.Servers, ", "), err)
	}
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	if err := awaitCluster(ctx, c, client, log); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// awaitCluster returns once the cluster answers. If it does not answer in time, the error names the problem of each
// server.
func awaitCluster(ctx context.Context, c Cluster, client *kubernetes.Client, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	retry, report := time.NewTicker(retryInterval), time.NewTicker(reportInterval)
	defer retry.Stop()
	defer report.Stop()
	for ping(ctx, client) != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("reaching etcd: %w", c.diagnose())
		case <-report.C:
			log.Warn("waiting for etcd", "err", c.diagnose())
		case <-retry.C:
		}
	}
	return nil
}

func ping(ctx context.Context, client *kubernetes.Client) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := client.KV.Get(ctx, healthKey)
	return err
}
