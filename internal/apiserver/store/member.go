package store

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/storage/etcd3"
)

// startMember opens the store under dir as the only member of a cluster. The member is called in process and listens
// on no port.
func startMember(ctx context.Context, dir string, quota int64, log *slog.Logger) (*embed.Etcd, error) {
	member, err := embed.StartEtcd(memberConfig(dir, quota, log))
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	select {
	case <-member.Server.ReadyNotify():
		return member, nil
	case err := <-member.Err():
		member.Close()
		return nil, fmt.Errorf("starting the store in %s: %w", dir, err)
	case <-ctx.Done():
		member.Close()
		return nil, ctx.Err()
	}
}

func memberConfig(dir string, quota int64, log *slog.Logger) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "viaduct"
	cfg.Dir = dir
	// No client dials a single member; the URLs are only its entry in its own membership list.
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.AdvertisePeerUrls = []url.URL{peer}
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	// A single member always wins its election. The default wait of a second would be the longest part of a warm start.
	cfg.TickMs, cfg.ElectionMs = 25, 125
	cfg.QuotaBackendBytes = quota
	// etcd keeps most of its log for slow peers, and a single member has none. These values keep little of the log in
	// memory (the default is 15,000 writes), little to read after a crash, and few log files of 64 MB each.
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = 2000, 100 // writes
	cfg.MaxWalFiles, cfg.MaxSnapFiles = 2, 2
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(logCore{log: log}))
	return cfg
}

// memberClient wraps the member's own client in the form that the storage layer needs.
func memberClient(member *embed.Etcd) *kubernetes.Client {
	c := &kubernetes.Client{Client: v3client.New(member.Server)}
	c.KV = etcd3.NewETCDLatencyTracker(c.KV)
	c.Kubernetes = c
	return c
}

// namedEndpoint gives the in-process client an endpoint. Without one, the storage layer does not learn that this
// etcd reports watch progress, and then refuses consistent reads and streaming lists from its cache.
type namedEndpoint struct{ *clientv3.Client }

func (namedEndpoint) Endpoints() []string { return []string{"in-process"} }
