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

// startMember opens the store under dir, as the one member of a cluster. It is reached by function calls and listens
// nowhere.
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
	// Nobody dials a member that is alone; the URLs are only its name in its own membership list.
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.AdvertisePeerUrls = []url.URL{peer}
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	// A member that is alone always wins its election: waiting a whole second for it would be the longest part of a warm
	// start.
	cfg.TickMs, cfg.ElectionMs = 25, 125
	cfg.QuotaBackendBytes = quota
	// Most of the log is kept for slow peers. A member that is alone has none: it keeps little of it in memory, little to
	// read at a start after a crash, and few files (64 MB each) that the last snapshot has made superfluous.
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = 2000, 100 // writes
	cfg.MaxWalFiles, cfg.MaxSnapFiles = 2, 2
	// Nor must it keep the last 15,000 writes in memory for them.
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = 2000, 100
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(logCore{log: log}))
	return cfg
}

// memberClient wraps the member's own client in the form that the storage layer wants.
func memberClient(member *embed.Etcd) *kubernetes.Client {
	c := &kubernetes.Client{Client: v3client.New(member.Server)}
	c.KV = etcd3.NewETCDLatencyTracker(c.KV)
	c.Kubernetes = c
	return c
}

// namedEndpoint gives the in-process client an endpoint to be asked about. Without one, the storage layer never learns
// that this etcd reports watch progress, and then refuses consistent reads and streaming lists from its cache.
type namedEndpoint struct{ *clientv3.Client }

func (namedEndpoint) Endpoints() []string { return []string{"in-process"} }
