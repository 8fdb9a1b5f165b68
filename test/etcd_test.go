package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdVariable makes this test binary a member of an etcd cluster, configured by its value.
const etcdVariable = "VIADUCT_TEST_ETCD"

// memberConfig is what a member is told.
type memberConfig struct {
	Name, Dir, Client, Peer string   // URLs
	Cluster                 []string // name=peer URL, of all
	CA, Cert, Key           string   // files
}

// runEtcd runs a member until it is killed.
func runEtcd(text string) int {
	var c memberConfig
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		var etcd *embed.Etcd
		if etcd, err = embed.StartEtcd(c.embedded()); err == nil {
			<-etcd.Server.ReadyNotify()
			fmt.Println("member is ready")
			err = <-etcd.Err()
		}
	}
	fmt.Fprintln(os.Stderr, "etcd:", err)
	return 1
}

func (c memberConfig) embedded() *embed.Config {
	parse := func(text string) []url.URL {
		u, err := url.Parse(text)
		if err != nil {
			panic(err) // the test made it
		}
		return []url.URL{*u}
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = c.Name, c.Dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = parse(c.Client), parse(c.Client)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = parse(c.Peer), parse(c.Peer)
	cfg.InitialCluster = strings.Join(c.Cluster, ",")
	cfg.ClientTLSInfo.TrustedCAFile, cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = c.CA, c.Cert, c.Key
	cfg.ClientTLSInfo.ClientCertAuth = true
	cfg.PeerTLSInfo = cfg.ClientTLSInfo
	cfg.LogLevel = "error"
	return cfg
}

// An etcdCluster is three members, each a process of its own, that talk TLS only, with one another and with clients.
type etcdCluster struct {
	t         testing.TB
	members   []memberConfig
	processes []*running
	authority *authority
}

// newEtcd starts a cluster at addresses that nobody else uses, the first of them at.
func newEtcd(t testing.TB, at netip.Addr) *etcdCluster {
	t.Helper()
	e := &etcdCluster{t: t, authority: newAuthority(t), processes: make([]*running, 3)}
	var cluster []string
	for i := range e.processes {
		m := memberConfig{
			Name: fmt.Sprintf("member-%d", i), Dir: filepath.Join(t.TempDir(), "etcd"),
			Client: fmt.Sprintf("https://%s:2379", at), Peer: fmt.Sprintf("https://%s:2380", at), CA: e.authority.file,
		}
		m.Cert, m.Key = e.authority.issue(t, m.Name, at)
		cluster = append(cluster, m.Name+"="+m.Peer)
		e.members = append(e.members, m)
		at = at.Next()
	}
	for i := range e.members {
		e.members[i].Cluster = cluster
		e.launch(i)
	}
	for i := range e.members {
		e.awaitMember(i)
	}
	return e
}

func (e *etcdCluster) launch(i int) {
	e.t.Helper()
	self, err := os.Executable()
	if err != nil {
		e.t.Fatal(err)
	}
	config, err := json.Marshal(e.members[i])
	if err != nil {
		e.t.Fatal(err)
	}
	cmd := exec.Command(self, "etcd", e.members[i].Name)
	cmd.Env = append(cleanEnvironment(e.t), etcdVariable+"="+string(config))
	e.processes[i] = startProcess(e.t, cmd)
}

func (e *etcdCluster) awaitMember(i int) {
	e.t.Helper()
	e.processes[i].out.await(e.t, "member is ready", e.processes[i].ended)
}

func (e *etcdCluster) kill(i int) {
	e.t.Helper()
	e.processes[i].signal(syscall.SIGKILL)
	e.processes[i].wait()
}

// flags are how a server is told of the cluster.
func (e *etcdCluster) flags() []string {
	var urls []string
	for _, m := range e.members {
		urls = append(urls, m.Client)
	}
	cert, key := e.authority.issue(e.t, "viaduct", netip.Addr{})
	return slices.Concat([]string{"--etcd-servers", strings.Join(urls, ",")},
		[]string{"--etcd-cafile", e.authority.file, "--etcd-certfile", cert, "--etcd-keyfile", key})
}

// An authority signs the certificates of etcd and its clients.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test-ca"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.file, _ = a.sign(t, a.cert, key)
	return a
}

// issue makes a certificate for a server at an address, which is also a client.
func (a *authority) issue(t testing.TB, name string, at netip.Addr) (cert, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if at.IsValid() {
		// members connect from the latter, and check one another by it
		template.IPAddresses = []net.IP{at.AsSlice(), net.IPv4(127, 0, 0, 1)}
	}
	return a.sign(t, template, own)
}

// sign writes the certificate and its key to files.
func (a *authority) sign(t testing.TB, template *x509.Certificate, own *ecdsa.PrivateKey) (cert, key string) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY",
		Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
