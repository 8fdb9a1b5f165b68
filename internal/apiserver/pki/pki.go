// Package pki keeps the certificate authority of a data directory, or of several servers over one etcd: it issues the
// certificates of servers and of clients, and keeps the key that signs the tokens of ServiceAccounts.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	certLifetime = 365 * 24 * time.Hour
	clockSkew    = time.Hour // a certificate is valid from this long ago
)

// Authority is a certificate authority whose certificate and key are files in one directory. Keys are ECDSA P-256:
// generating an RSA key would take longer than the rest of the server's start.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Pair is a certificate and its private key (PKCS #8), PEM encoded.
type Pair struct{ Cert, Key []byte }

// Open reads the authority in dir, and creates the directory and the authority if it does not exist. Several processes
// may call it at once: one of them creates the authority, and all return the same.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &Authority{dir: dir}
	err := p.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = p.loadOrCreate()
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate authority in %s: %w", dir, err)
	}
	return p, nil
}

// load reads the authority. The error is fs.ErrNotExist if it does not exist.
func (p *Authority) load() error {
	files, err := p.read("ca")
	if err == nil {
		p.cert, p.key, err = parsePair(files)
	}
	return err
}

func (p *Authority) loadOrCreate() error {
	unlock, err := lockDir(p.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.load(); !errors.Is(err, fs.ErrNotExist) {
		return err // another process created it
	}
	return p.create()
}

// lockDir waits until no other process creates files in dir. The kernel releases the lock when its process ends.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

func (p *Authority) create() error {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "viaduct-ca"},
		NotAfter:              time.Now().Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	made, err := p.sign(template)
	if err != nil {
		return err
	}
	if p.cert, p.key, err = parsePair(made); err != nil {
		return err
	}
	return p.write("ca", made)
}

// CAPEM returns the certificate of the authority, PEM encoded.
func (p *Authority) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

// Serving issues a server certificate for names and addrs, valid for one year. It is not kept: each start issues one,
// because names and addresses depend on the flags.
func (p *Authority) Serving(names []string, addrs []net.IP) (Pair, error) {
	return p.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "viaduct-apiserver"},
		NotAfter:    time.Now().Add(certLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
		IPAddresses: addrs,
	})
}

// Client issues a client certificate, valid for one year, that authenticates as user and as a member of groups.
func (p *Authority) Client(user string, groups ...string) (Pair, error) {
	return p.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		NotAfter:    time.Now().Add(certLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// sign generates a key and signs template for it. Before the authority has a certificate it signs its own.
func (p *Authority) sign(template *x509.Certificate) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Pair{}, err
	}
	template.NotBefore = time.Now().Add(-clockSkew)
	parent, signer := p.cert, p.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return Pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

func (p *Authority) read(name string) (Pair, error) {
	cert, err := os.ReadFile(filepath.Join(p.dir, name+".crt"))
	if err != nil {
		return Pair{}, err
	}
	key, err := os.ReadFile(filepath.Join(p.dir, name+".key"))
	if errors.Is(err, fs.ErrNotExist) { // write stores the key first, so the files were copied incompletely
		return Pair{}, fmt.Errorf("found %s.crt, but no %[1]s.key", name)
	}
	return Pair{cert, key}, err
}

// write stores the key first: after a crash a certificate without a key would look like a broken authority.
func (p *Authority) write(name string, files Pair) error {
	if err := WriteFile(filepath.Join(p.dir, name+".key"), files.Key); err != nil {
		return err
	}
	return WriteFile(filepath.Join(p.dir, name+".crt"), files.Cert)
}

// WriteFile replaces a file atomically. The new file has mode 0600.
func WriteFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // it has mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // renamed already unless there was an error
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func parsePair(files Pair) (*x509.Certificate, crypto.Signer, error) {
	certBlock, _ := pem.Decode(files.Cert)
	keyBlock, _ := pem.Decode(files.Key)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, errors.New("not PEM encoded")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return cert, signer, nil
}
