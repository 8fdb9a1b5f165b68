package pki

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

// accountKeyFile has the key that signs the tokens of ServiceAccounts. kubeadm uses the same name.
const accountKeyFile = "sa.key"

// AccountKey reads the key that signs the tokens of ServiceAccounts, and creates it if it does not exist. Servers that
// share the directory share the key, and accept one another's tokens. The error says so if other users of the host can
// read the file.
func (p *Authority) AccountKey() (*ecdsa.PrivateKey, error) {
	key, err := p.loadAccountKey()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = p.loadOrCreateAccountKey()
	}
	if err != nil {
		return nil, fmt.Errorf("the key of service accounts' tokens, %s: %w", filepath.Join(p.dir, accountKeyFile), err)
	}
	return key, nil
}

func (p *Authority) loadAccountKey() (*ecdsa.PrivateKey, error) {
	path := filepath.Join(p.dir, accountKeyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("other users can read it (mode %s) and sign tokens with it: remove the file, and a new key "+
			"is created",
			info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return tokens.DecodeKey(text)
}

func (p *Authority) loadOrCreateAccountKey() (*ecdsa.PrivateKey, error) {
	unlock, err := lockDir(p.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if key, err := p.loadAccountKey(); !errors.Is(err, fs.ErrNotExist) {
		return key, err // another process created it
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := tokens.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, WriteFile(filepath.Join(p.dir, accountKeyFile), text)
}
