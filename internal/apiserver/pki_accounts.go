package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"viaduct/internal/apiserver/tokens"
)

// accountKeyFile has the key that signs the tokens of ServiceAccounts; upstream's name.
const accountKeyFile = "sa.key"

// accountKey reads the key that signs the tokens of ServiceAccounts, and makes one where there is none. Servers that
// share the directory share the key, and so accept one another's tokens.
func (p *pki) accountKey() (*ecdsa.PrivateKey, error) {
	key, err := p.loadAccountKey()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = p.loadOrCreateAccountKey()
	}
	if err != nil {
		return nil, fmt.Errorf("the key of service accounts' tokens, %s: %w", filepath.Join(p.dir, accountKeyFile), err)
	}
	return key, nil
}

func (p *pki) loadAccountKey() (*ecdsa.PrivateKey, error) {
	path := filepath.Join(p.dir, accountKeyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read it (mode %s), and make themselves tokens: remove it, and a new one is made",
			info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return tokens.DecodeKey(text)
}

func (p *pki) loadOrCreateAccountKey() (*ecdsa.PrivateKey, error) {
	unlock, err := lockDir(p.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if key, err := p.loadAccountKey(); !errors.Is(err, fs.ErrNotExist) {
		return key, err // another server was faster
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := tokens.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(filepath.Join(p.dir, accountKeyFile), text)
}
