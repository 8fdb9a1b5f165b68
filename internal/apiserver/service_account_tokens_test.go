package apiserver_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/apiserver/tokens"
)

func makeAccount(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), account,
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func requestToken(t *testing.T, client kubernetes.Interface, account string, spec authenticationv1.TokenRequestSpec) (
	*authenticationv1.TokenRequest, error) {
	t.Helper()
	return client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
}

func mustRequestToken(t *testing.T, client kubernetes.Interface, account string,
	spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	got, err := requestToken(t, client, account, spec)
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.Token
}

func TestServiceAccountTokens(t *testing.T) {
	server := apitest.Start(t)
	admin := server.Client(t)
	makeAccount(t, admin, "robot")
	before := time.Now()
	got, err := requestToken(t, admin, "robot", authenticationv1.TokenRequestSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "robot" || got.Namespace != "default" || *got.Spec.ExpirationSeconds != 3600 ||
		len(got.Spec.Audiences) != 1 {
		t.Errorf("filled in as %+v %+v", got.ObjectMeta, got.Spec)
	}
	if left := got.Status.ExpirationTimestamp.Sub(before); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("it expires after %s", left)
	}
	review, err := admin.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: got.Status.Token}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	who := review.Status.User
	if !review.Status.Authenticated || who.Username != "system:serviceaccount:default:robot" || who.UID == "" ||
		!slices.Equal(who.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:default",
			"system:authenticated"}) ||
		!strings.HasPrefix(who.Extra["authentication.kubernetes.io/credential-id"][0], "JTI=") {
		t.Errorf("it logs in %+v", review.Status)
	}
	client := bearer(t, server, got.Status.Token)
	if err := mayDiscover(client); err != nil {
		t.Errorf("logging in: %v", err)
	}
	other := mustRequestToken(t, admin, "robot", authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}})
	if err := mayDiscover(bearer(t, server, other)); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token for others: %v", err)
	}
	if err := admin.CoreV1().ServiceAccounts("default").Delete(t.Context(), "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	makeAccount(t, admin, "robot") // the same name, another UID
	eventually(t, "the token ends with its account", func() bool { return apierrors.IsUnauthorized(mayDiscover(client)) })
}

func TestBoundTokens(t *testing.T) {
	server := apitest.Start(t)
	admin := server.Client(t)
	makeAccount(t, admin, "robot")
	pods := admin.CoreV1().Pods("default")
	if _, err := pods.Create(t.Context(), podOf("bound", "robot"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "far"}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ref := func(kind, name string, uid types.UID) authenticationv1.TokenRequestSpec {
		return authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1",
			Kind: kind, Name: name, UID: uid}}
	}
	byPod := bearer(t, server, mustRequestToken(t, admin, "robot", ref("Pod", "bound", "")))
	byNode := bearer(t, server, mustRequestToken(t, admin, "robot", ref("Node", "far", "")))
	for _, client := range []*kubernetes.Clientset{byPod, byNode} {
		if err := mayDiscover(client); err != nil {
			t.Errorf("while it exists: %v", err)
		}
	}
	now := int64(0)
	if err := pods.Delete(t.Context(), "bound", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	if err := admin.CoreV1().Nodes().Delete(t.Context(), "far", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token ends with its Pod", func() bool { return apierrors.IsUnauthorized(mayDiscover(byPod)) })
	eventually(t, "the token ends with its Node", func() bool { return apierrors.IsUnauthorized(mayDiscover(byNode)) })
}

func TestTokenRequestsRefused(t *testing.T) {
	server := apitest.Start(t)
	admin := server.Client(t)
	makeAccount(t, admin, "robot")
	if _, err := admin.CoreV1().Pods("default").Create(t.Context(), podOf("others", ""),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	seconds := func(n int64) *int64 { return &n }
	bound := func(apiVersion, kind, name string, uid types.UID) authenticationv1.TokenRequestSpec {
		return authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: apiVersion, Kind: kind, Name: name, UID: uid,
		}}
	}
	for name, c := range map[string]struct {
		account string
		spec    authenticationv1.TokenRequestSpec
		is      func(error) bool
	}{
		"no such account": {"nobody", authenticationv1.TokenRequestSpec{}, apierrors.IsNotFound},
		"too short": {"robot", authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(599)},
			apierrors.IsInvalid},
		"too long": {"robot", authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(1<<32 + 1)},
			apierrors.IsInvalid},
		"attestations": {"robot",
			authenticationv1.TokenRequestSpec{Attestations: map[string]authenticationv1.AttestationValue{"a": {"b"}}},
			apierrors.IsInvalid},
		"no such Pod":         {"robot", bound("v1", "Pod", "nothing", ""), apierrors.IsNotFound},
		"another's Pod":       {"robot", bound("v1", "Pod", "others", ""), apierrors.IsBadRequest},
		"another Node":        {"robot", bound("v1", "Node", apitest.NodeName, "x"), apierrors.IsNotFound},
		"what nothing is for": {"robot", bound("v1", "ConfigMap", "x", ""), apierrors.IsBadRequest},
		"another group":       {"robot", bound("apps/v1", "Pod", "others", ""), apierrors.IsBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := requestToken(t, admin, c.account, c.spec); !c.is(err) {
				t.Error(err)
			}
		})
	}
	if _, err := requestToken(t, admin, "robot",
		authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(600)}); err != nil {
		t.Errorf("the shortest: %v", err)
	}
	misnamed := &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Name: "else"}}
	if _, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "robot", misnamed,
		metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a request that names another account: %v", err)
	}
}

// Servers with one pki directory accept one another's tokens, also after a restart.
func TestSharedAccountKey(t *testing.T) {
	etcd, pki := apitest.Etcd(t), t.TempDir()
	one := apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), PKIDir: pki, Etcd: etcd})
	makeAccount(t, one.Client(t), "robot")
	token := mustRequestToken(t, one.Client(t), "robot", authenticationv1.TokenRequestSpec{})
	two := apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), PKIDir: pki, Etcd: etcd})
	if err := mayDiscover(bearer(t, two, token)); err != nil {
		t.Errorf("at another server: %v", err)
	}
	info, err := os.Stat(filepath.Join(pki, "sa.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
}

func TestKeysArePublished(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t).RESTClient()
	var configuration struct {
		Issuer  string
		KeysURI string `json:"jwks_uri"`
	}
	raw, err := client.Get().AbsPath(tokens.ConfigurationPath).DoRaw(t.Context())
	if err == nil {
		err = json.Unmarshal(raw, &configuration)
	}
	if err != nil || configuration.KeysURI != server.URL()+tokens.KeysPath ||
		configuration.Issuer != "https://kubernetes.default.svc.cluster.local" {
		t.Errorf("%s, %v", raw, err)
	}
	var contentType string
	var status int
	result := client.Get().AbsPath(tokens.KeysPath).Do(t.Context()).ContentType(&contentType).StatusCode(&status)
	raw, err = result.Raw()
	if err != nil || status != http.StatusOK || contentType != "application/jwk-set+json" || !strings.Contains(string(raw),
		`"crv":"P-256"`) {
		t.Errorf("%d %s: %s, %v", status, contentType, raw, err)
	}
}

func podOf(name, account string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "c", Image: "image"}}},
	}
}

func TestServiceAccountAdmission(t *testing.T) {
	server := apitest.Start(t)
	admin := server.Client(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}}
	if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), account,
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	old := podOf("old-name", "")
	old.Spec.DeprecatedServiceAccount = "robot"
	for name, c := range map[string]struct {
		pod         *corev1.Pod
		want        string
		pullSecrets int
	}{
		"none named":              {podOf("none", ""), "default", 0},
		"one named":               {podOf("one", "robot"), "robot", 1},
		"by the deprecated field": {old, "robot", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := admin.CoreV1().Pods("default").Create(t.Context(), c.pod, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Spec.ServiceAccountName != c.want || got.Spec.DeprecatedServiceAccount != c.want ||
				len(got.Spec.ImagePullSecrets) != c.pullSecrets {
				t.Errorf("account %q, %q, pull secrets %v", got.Spec.ServiceAccountName, got.Spec.DeprecatedServiceAccount,
					got.Spec.ImagePullSecrets)
			}
		})
	}
	_, err := admin.CoreV1().Pods("default").Create(t.Context(), podOf("bad", "nobody"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(),
		`error looking up service account default/nobody: serviceaccounts "nobody" not found`) {
		t.Errorf("an account that does not exist: %v", err)
	}
	if _, err = admin.CoreV1().Pods("nowhere").Create(t.Context(), podOf("bad", "nobody"),
		metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("in a namespace that does not exist: %v", err)
	}
}
