// Package credentials issues the tokens with which users log in to Viaduct's API server, and the kubeconfigs that carry
// them. A token is stored as a Secret; package tokens knows its format.
package credentials

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/apiserver/tokens"
)

// A Request says for whom a token is issued.
type Request struct {
	User      string
	Groups    []string
	TTL       time.Duration // 0: the token does not expire
	Role      string        // ClusterRole that the user is bound to; empty: none
	Namespace string        // namespace of the binding; empty: the whole cluster
}

// Check returns an error if no token can be issued for the request. It names the command-line flag.
func (r Request) Check() error {
	switch {
	case r.User == "":
		return errors.New("a user is required: give --user NAME")
	case r.TTL < 0:
		return fmt.Errorf("--ttl %s is negative", r.TTL)
	case r.TTL > 0 && r.TTL < time.Second:
		return fmt.Errorf("--ttl %s is too short: want at least 1s", r.TTL)
	case r.Namespace != "" && r.Role == "":
		return errors.New("--namespace limits --role, but --role is not given")
	}
	for _, err := range tokens.CheckLogin(r.User, r.Groups, nil, nil) {
		return fmt.Errorf("no token for %q: %s", err.BadValue, err.Detail)
	}
	return nil
}

// A Token is a token that has just been issued.
type Token struct {
	Text    string // the secret itself
	ID      string
	User    string
	Expires time.Time // zero: never
}

// String describes the token without its secret.
func (t Token) String() string {
	until := "until it is deleted"
	if !t.Expires.IsZero() {
		until = "until " + t.Expires.Format(time.RFC3339)
	}
	return fmt.Sprintf("token %s logs in %s %s", t.ID, t.User, until)
}

// Issue binds the role, if there is one, and then stores a token. It returns an error if the server is not Viaduct's,
// because no other server accepts such a token, or if a binding of the same name exists and gives another role.
func Issue(ctx context.Context, api kubernetes.Interface, r Request) (Token, error) {
	if err := requireViaduct(api); err != nil {
		return Token{}, err
	}
	if r.Role != "" {
		if err := bindRole(ctx, api, r); err != nil {
			return Token{}, err
		}
	}
	issued := Token{User: r.User}
	if r.TTL > 0 {
		issued.Expires = time.Now().Add(r.TTL).Truncate(time.Second)
	}
	text, secret := tokens.New(r.User, r.Groups, issued.Expires)
	if _, err := api.CoreV1().Secrets(secret.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return Token{}, fmt.Errorf("storing the token: %w", err)
	}
	issued.Text = text
	issued.ID, _ = tokens.ID(text)
	return issued, nil
}

func requireViaduct(api kubernetes.Interface) error {
	version, err := api.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("reading the server's version: %w", err)
	}
	if !strings.Contains(version.GitVersion, "viaduct") {
		return fmt.Errorf("the server is Kubernetes %s, which does not accept Viaduct's tokens: use kubectl create token",
			version.GitVersion)
	}
	return nil
}
