package apiserver

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

// pki is the certificate authority of a data directory, or of several servers. Keys are ECDSA P-256: an RSA key would
// cost more than the rest of the start.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// pair is a certificate and its key, PEM encoded.
type pair struct{ cert, key []byte }

// openPKI reads the authority kept in dir, and makes one where there is none. Several servers may do so at once: one of
// them makes it.
func openPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &pki{dir: dir}
	err := p.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = p.loadOrCreate()
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate authority in %s: %w", dir, err)
	}
	return p, nil
}

// load reads the authority. The error is fs.ErrNotExist if there is none.
func (p *pki) load() error {
	files, err := p.read("ca")
	if err == nil {
		p.cert, p.key, err = parsePair(files)
	}
	return err
}

func (p *pki) loadOrCreate() error {
	unlock, err := lockDir(p.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.load(); !errors.Is(err, fs.ErrNotExist) {
		return err // another server was faster
	}
	return p.create()
}

// lockDir waits until no other process is making an authority in dir. The kernel's lock goes with the process that
// holds it, however that ends.
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

func (p *pki) create() error {
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

func (p *pki) caPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

// serving makes the server's certificate, anew at each start: its names follow the flags.
func (p *pki) serving(names []string, addrs []net.IP) (pair, error) {
	return p.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "viaduct-apiserver"},
		NotAfter:    time.Now().Add(certLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
		IPAddresses: addrs,
	})
}

// client makes a certificate that logs user in as a member of groups.
func (p *pki) client(user string, groups ...string) (pair, error) {
	return p.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		NotAfter:    time.Now().Add(certLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// sign makes a key for template and certifies it; an authority that does not exist yet certifies itself.
func (p *pki) sign(template *x509.Certificate) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair{}, err
	}
	template.NotBefore = time.Now().Add(-clockSkew)
	parent, signer := p.cert, p.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

func (p *pki) read(name string) (pair, error) {
	cert, err := os.ReadFile(filepath.Join(p.dir, name+".crt"))
	if err != nil {
		return pair{}, err
	}
	key, err := os.ReadFile(filepath.Join(p.dir, name+".key"))
	if errors.Is(err, fs.ErrNotExist) { // write has stored the key first, so somebody copied one of two files
		return pair{}, fmt.Errorf("there is %s.crt, but no %[1]s.key", name)
	}
	return pair{cert, key}, err
}

// write stores the key first: a certificate without its key would look like a broken authority after a crash.
func (p *pki) write(name string, files pair) error {
	if err := writeFile(filepath.Join(p.dir, name+".key"), files.key); err != nil {
		return err
	}
	return writeFile(filepath.Join(p.dir, name+".crt"), files.cert)
}

// writeFile replaces a file whole, readable by its owner only.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
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

func parsePair(files pair) (*x509.Certificate, crypto.Signer, error) {
	certBlock, _ := pem.Decode(files.cert)
	keyBlock, _ := pem.Decode(files.key)
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
