package apiserver

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"

	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/store"
)

// Options say how a server is to run. DataDir, Listen and ServiceCIDRs are required.
type Options struct {
	DataDir string // for etcd, certificates and the kubeconfig; it is created if it does not exist
	PKIDir  string // for the certificate authority, which servers over one etcd share; "": pki in DataDir
	Listen  string // host:port; port 0 picks a free one
	// AlsoListen are further addresses of this host to listen on, at the same port. The server's certificate has them, and
	// the endpoints of the Service kubernetes have the first one. The zero value is none.
	AlsoListen []netip.Addr
	// Advertise is the address at which other hosts reach the server. The zero value is the address that the server
	// listens on; if it listens on every address, the address of the interface that has the default route.
	Advertise netip.Addr
	// Etcd is an external cluster, which several servers may share. The zero value is a store in this process, in DataDir.
	Etcd       store.Cluster
	StoreQuota int64 // the most bytes of the store in this process; 0: 8 GiB
	// ServiceCIDRs are the ranges that ClusterIPs come from: one, or one of each family, the primary first. If the primary
	// is within 127.0.0.0/8, endpoints may have loopback addresses.
	ServiceCIDRs []netip.Prefix
	NodePorts    allocation.PortRange // the ports of NodePort Services; the zero value: 30000-32767
	// AllowExternalIPs lets every user who may write Services set externalIPs. An external IP takes the traffic of every
	// Pod to that address (CVE-2020-8554), so by default only administrators may.
	AllowExternalIPs bool
	NodeName         string       // the node whose agent runs in this process; "": none
	Log              *slog.Logger // nil: slog.Default()
	// Kinds are API resources beside those of package kinds. The OpenAPI models of their types must be in package openapi.
	Kinds []resource.Definition
}

func (o *Options) pkiDir() string {
	if o.PKIDir != "" {
		return o.PKIDir
	}
	return PKIDir(o.DataDir)
}

// PKIDir returns the directory of the certificate authority in a data directory: the default of Options.PKIDir.
func PKIDir(dataDir string) string { return filepath.Join(dataDir, "pki") }

// StoreDir returns the directory of the store in a data directory.
func StoreDir(dataDir string) string { return filepath.Join(dataDir, "etcd") }

// firstClusterIP returns the first address of the primary range. It returns an error if a range has no usable address.
func firstClusterIP(ranges []netip.Prefix) (netip.Addr, error) {
	var first netip.Addr
	for i, prefix := range ranges {
		usable, err := allocation.NewRange(prefix)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("using a range of service addresses: %w", err)
		}
		if i == 0 {
			first = usable.First()
		}
	}
	return first, nil
}

// loopbackMode reports whether ClusterIPs are loopback addresses. Then the host is the cluster, and endpoints may have
// loopback addresses too.
func (o *Options) loopbackMode() bool { return o.ServiceCIDRs[0].Addr().IsLoopback() }
