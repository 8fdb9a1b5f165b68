package authentication

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
)

// ReadTokenFile reads the tokens of users from a file in the form of kube-apiserver's --token-auth-file: a line for
// each user, with token, name, uid, and optionally "group,group". A file that does not exist has no tokens. A file that
// other users of the host can read is an error, because its tokens are no longer secret.
func ReadTokenFile(path string) (*tokenfile.TokenAuthenticator, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return tokenfile.New(nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the token file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the token file %s can be read by others (mode %s): chmod 600, and change the tokens", path,
			info.Mode().Perm())
	}
	tokens, err := tokenfile.NewCSV(path)
	if err != nil {
		return nil, fmt.Errorf("reading the token file %s: %w", path, err)
	}
	return tokens, nil
}
