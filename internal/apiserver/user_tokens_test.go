package apiserver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/apiserver/tokens"
)

// bearer returns a client that authenticates by token.
func bearer(t *testing.T, server *apitest.Server, token string) *kubernetes.Clientset {
	t.Helper()
	config := restclient.CopyConfig(server.Config())
	config.BearerToken = token
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// mayDiscover lists the API groups, which every authenticated user may do.
func mayDiscover(client *kubernetes.Clientset) error {
	_, err := client.Discovery().RESTClient().Get().AbsPath("/apis").DoRaw(context.Background())
	return err
}

func storeToken(t *testing.T, client kubernetes.Interface, user string, groups []string,
	expires time.Time) (text string, secret *corev1.Secret) {
	t.Helper()
	text, secret = tokens.New(user, groups, expires)
	if _, err := client.CoreV1().Secrets(secret.Namespace).Create(t.Context(), secret,
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return text, secret
}

func TestUserTokens(t *testing.T) {
	etcd := apitest.Etcd(t)
	pki := t.TempDir()
	one := apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), PKIDir: pki, Etcd: etcd})
	two := apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), PKIDir: pki, Etcd: etcd})
	text, secret := storeToken(t, one.Client(t), "ann", []string{"dev"}, time.Now().Add(time.Hour))
	for name, server := range map[string]*apitest.Server{"the server that made it": one, "another": two} {
		if err := mayDiscover(bearer(t, server, text)); err != nil { // at once: the watch cache may not have it yet
			t.Errorf("at %s: %v", name, err)
		}
	}
	review, err := one.Client(t).AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: text}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if who := review.Status.User; who.Username != "ann" || strings.Join(who.Groups, " ") != "dev system:authenticated" {
		t.Errorf("it logs in %+v", review.Status)
	}
	id, _ := tokens.ID(text)
	if err := mayDiscover(bearer(t, one, id+"."+strings.Repeat("a", 26))); !apierrors.IsUnauthorized(err) {
		t.Errorf("the right ID with a wrong secret: %v", err)
	}
	if err := one.Client(t).CoreV1().Secrets(secret.Namespace).Delete(t.Context(), secret.Name,
		metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, server := range []*apitest.Server{one, two} {
		eventually(t, "the token is revoked",
			func() bool { return apierrors.IsUnauthorized(mayDiscover(bearer(t, server, text))) })
	}
}

func TestExpiredTokens(t *testing.T) {
	dir := t.TempDir()
	server := apitest.StartWith(t, apiserver.Options{DataDir: dir})
	text, expired := storeToken(t, server.Client(t), "ann", nil, time.Now().Add(-time.Second))
	_, endless := storeToken(t, server.Client(t), "ann", nil, time.Time{})
	if err := mayDiscover(bearer(t, server, text)); !apierrors.IsUnauthorized(err) {
		t.Errorf("after its time: %v", err)
	}
	server.Stop()
	server = apitest.StartWith(t, apiserver.Options{DataDir: dir})
	secrets := server.Client(t).CoreV1().Secrets(tokens.SecretNamespace)
	eventually(t, "the expired token is removed", func() bool {
		_, err := secrets.Get(t.Context(), expired.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if _, err := secrets.Get(t.Context(), endless.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("one without end: %v", err)
	}
}

func TestTokenImpersonation(t *testing.T) {
	server := apitest.Start(t)
	giveRole(t, server, "secret-writer", "eve", rbacv1.PolicyRule{Verbs: []string{"create", "update", "get"},
		APIGroups: []string{""}, Resources: []string{"secrets"}})
	eve := as(t, server, "eve").CoreV1().Secrets(tokens.SecretNamespace)
	create := func(user string, groups ...string) error {
		_, secret := tokens.New(user, groups, time.Time{})
		_, err := eve.Create(t.Context(), secret, metav1.CreateOptions{})
		return err
	}
	eventually(t, "eve may write secrets", func() bool {
		_, err := eve.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "any-"}},
			metav1.CreateOptions{})
		return err == nil
	})
	if err := create("ann"); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(),
		`user "eve" may not impersonate users "ann"`) {
		t.Errorf("with the right to write secrets alone: %v", err)
	}
	giveRole(t, server, "actor", "eve", rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""},
		Resources: []string{"users"}, ResourceNames: []string{"ann"}})
	eventually(t, "eve may act as ann", func() bool { return create("ann") == nil })
	for name, err := range map[string]error{"another user": create("bob"), "a group": create("ann", "dev")} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, secret := storeToken(t, server.Client(t), "bob", nil, time.Time{})
	_, mine := tokens.New("ann", nil, time.Time{})
	secret.Data["sha256"] = mine.Data["sha256"]
	if _, err := eve.Update(t.Context(), secret, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("eve puts a hash of hers into bob's token: %v", err)
	}
	_, all := tokens.New("ann", []string{"system:masters"}, time.Time{})
	_, err := server.Client(t).CoreV1().Secrets(tokens.SecretNamespace).Create(t.Context(), all, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "data[groups]") {
		t.Errorf("an administrator makes a token of all power: %v", err)
	}
}
