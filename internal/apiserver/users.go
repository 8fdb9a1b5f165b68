package apiserver

import (
	"crypto/rand"
	"encoding/hex"
	"path/filepath"

	"k8s.io/apiserver/pkg/authentication/user"
	"viaduct/internal/apiserver/access"
)

// The users that Viaduct's parts authenticate as. They have the names of their counterparts in Kubernetes.
const (
	UserAdmin      = "viaduct-admin"
	UserController = "system:kube-controller-manager"
	UserProxy      = "system:kube-proxy"
	UserNodePrefix = access.NodeUserPrefix // followed by the node's name
)

// TokenFilePath returns the path of the token file of users in a directory of certificates, which servers over one etcd
// share. The file is optional and is read at the start; see authentication.ReadTokenFile for its form.
func TokenFilePath(pkiDir string) string { return filepath.Join(pkiDir, "tokens.csv") }

// partTokens are the bearer tokens of the parts in this process. They are generated at each start and never stored.
type partTokens struct {
	byUser  map[string]string
	byToken map[string]*user.DefaultInfo
}

func newPartTokens(nodeName string) *partTokens {
	t := &partTokens{byUser: map[string]string{}, byToken: map[string]*user.DefaultInfo{}}
	t.add(UserAdmin, user.SystemPrivilegedGroup)
	t.add(UserController)
	t.add(UserProxy)
	if nodeName != "" {
		t.add(UserNodePrefix+nodeName, user.NodesGroup)
	}
	return t
}

func (t *partTokens) add(name string, groups ...string) {
	token := randomToken()
	t.byUser[name] = token
	t.byToken[token] = &user.DefaultInfo{Name: name, Groups: groups}
}

func randomToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never returns an error, by its contract
	return hex.EncodeToString(b)
}
