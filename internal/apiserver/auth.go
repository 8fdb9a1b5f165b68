package apiserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	"viaduct/internal/apiserver/access"
)

// The identities of Viaduct's own parts, with upstream's names where it has one.
const (
	UserAdmin      = "viaduct-admin"
	UserController = "system:kube-controller-manager"
	UserProxy      = "system:kube-proxy"
	UserNodePrefix = access.NodeUserPrefix // followed by the node's name
)

// publicPaths may be read without logging in: they say whether the server lives, and which version it is.
func publicPaths() []string {
	return []string{"/healthz", "/livez", "/readyz", "/version"}
}

// partTokens are the tokens by which the parts in this process log in; new at each start, kept in memory only.
type partTokens struct {
	byUser map[string]string
	known  map[string]*user.DefaultInfo
}

func newPartTokens(nodeName string) *partTokens {
	t := &partTokens{byUser: map[string]string{}, known: map[string]*user.DefaultInfo{}}
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
	t.known[token] = &user.DefaultInfo{Name: name, Groups: groups}
}

// TokenFilePath is where the tokens of users may be written, beside the certificate authority, which servers over one
// etcd share. It has the form of kube-apiserver's --token-auth-file: a line a user, of token, name, uid, and optionally
// "group,group". It is read at the start.
func TokenFilePath(pkiDir string) string { return filepath.Join(pkiDir, "tokens.csv") }

// userTokens reads the token file, if there is one. One that others can read is refused: its tokens are not secret any
// more.
func userTokens(path string) (*tokenfile.TokenAuthenticator, error) {
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

func randomToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails, by its contract
	return hex.EncodeToString(b)
}

// newAuthorizer lets system:masters do everything, everybody read publicPaths, agents what their nodes need, and all
// what the roles in the API say.
func newAuthorizer(nodes, roles authorizer.Authorizer) (authorizer.Authorizer, error) {
	return authorizerunion.New(
		authorizerunion.NamedAuthorizer{AuthorizerName: "Masters", Authorizer: authorizer.AuthorizerFunc(allowMasters)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "Public", Authorizer: authorizer.AuthorizerFunc(allowPublic)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "Node", Authorizer: nodes},
		authorizerunion.NamedAuthorizer{AuthorizerName: "RBAC", Authorizer: roles},
	)
}

// allowMasters lets administrators do everything. It comes first and asks nothing: no lost or broken role can lock them
// out.
func allowMasters(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if who := a.GetUser(); who != nil && slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// allowPublic lets everybody read publicPaths, even before any role has been read.
func allowPublic(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if !a.IsResourceRequest() && a.GetVerb() == "get" && slices.Contains(publicPaths(), a.GetPath()) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}
