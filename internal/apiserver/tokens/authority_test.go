package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const us = "https://issuer.test"

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB, issuer string, key *ecdsa.PrivateKey) *Authority {
	t.Helper()
	a, err := NewAuthority(issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func robot() Account {
	return Account{Namespace: "here", ServiceAccount: Ref{Name: "robot", UID: "u1"}, Pod: &Ref{Name: "pod", UID: "u2"},
		Node: &Ref{Name: "node"}}
}

func issue(t testing.TB, a *Authority, lifetime time.Duration) string {
	t.Helper()
	text, _, err := a.Issue(robot(), []string{"api", "other"}, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The claims of a token are exactly upstream's.
func TestClaims(t *testing.T) {
	text := issue(t, newAuthority(t, us, newKey(t)), time.Hour)
	parts := strings.Split(text, ".")
	for i, want := range []string{"alg kid", "aud exp iat iss jti kubernetes.io nbf sub"} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(fields)), " "); got != want {
			t.Errorf("part %d has %s, want %s", i, got, want)
		}
		if i == 0 {
			continue
		}
		account, err := json.Marshal(fields["kubernetes.io"])
		if err != nil {
			t.Fatal(err)
		}
		want := `{"namespace":"here","node":{"name":"node"},"pod":{"name":"pod","uid":"u2"},"serviceaccount":{"name":"robot","uid":"u1"}}`
		if string(account) != want || fields["sub"] != "system:serviceaccount:here:robot" ||
			fields["exp"].(float64)-fields["iat"].(float64) != 3600 {
			t.Errorf("it says %s", raw)
		}
	}
}

func TestVerify(t *testing.T) {
	key := newKey(t)
	a := newAuthority(t, us, key)
	good := issue(t, a, time.Hour)
	for range 2 { // the second time from the cache
		claims, ours, err := a.Verify(good)
		if err != nil || !ours || claims.Account.ServiceAccount != (Ref{Name: "robot", UID: "u1"}) ||
			!slices.Equal(claims.Audience, []string{"api", "other"}) {
			t.Fatalf("its own: %+v, %v, %v", claims, ours, err)
		}
	}
	head, rest, _ := strings.Cut(good, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + us +
		`","sub":"system:serviceaccount:kube-system:root","exp":99999999999}`))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for name, c := range map[string]struct {
		text string
		ours bool // true: the token is ours, so there is an error
	}{
		"empty":                     {"", false},
		"no token":                  {"a.b.c", false},
		"another issuer's":          {issue(t, newAuthority(t, "https://else.test", key), time.Hour), false},
		"another key's":             {issue(t, newAuthority(t, us, newKey(t)), time.Hour), true},
		"other claims":              {head + "." + forged + "." + signature, true},
		"no signature":              {head + "." + claims + ".", true},
		"an algorithm without keys": {none + "." + claims + ".", true},
		"the key's text as secret":  {byPublicKey(t, key, us), true},
	} {
		t.Run(name, func(t *testing.T) {
			claims, ours, err := a.Verify(c.text)
			if claims != nil || ours != c.ours || (err != nil) != c.ours {
				t.Errorf("%+v, ours %v, %v", claims, ours, err)
			}
		})
	}
}

// byPublicKey signs with the public key as if it were a shared secret. Verifiers that trust the algorithm in a token
// accept that.
func byPublicKey(t *testing.T, key *ecdsa.PrivateKey, issuer string) string {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": issuer, "exp": 99999999999})
	text, err := token.SignedString(public)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokenHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, us, newKey(t))
		text := issue(t, a, 10*time.Minute)
		time.Sleep(10 * time.Minute)
		if _, _, err := a.Verify(text); err != nil {
			t.Errorf("a clock may be behind: %v", err)
		}
		time.Sleep(leeway + time.Second)
		if claims, ours, err := a.Verify(text); claims != nil || !ours || err == nil ||
			err.Error() != "service account token has expired" {
			t.Errorf("after its time: %+v, %v, %v", claims, ours, err)
		}
	})
}

func TestKeys(t *testing.T) {
	key := newKey(t)
	text, err := EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeKey(text)
	if err != nil || !again.Equal(key) {
		t.Errorf("read back: %v", err)
	}
	old, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if again, err = DecodeKey(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: old})); err != nil ||
		!again.Equal(key) {
		t.Errorf("as openssl writes it: %v", err)
	}
	for name, text := range map[string]string{"nothing": "",
		"a certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"nonsense":      "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := DecodeKey([]byte(text)); err == nil {
			t.Errorf("%s is a key", name)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewAuthority(us, other); err == nil {
		t.Error("ES256 with a key on P-384")
	}
}

// The published documents are enough to verify a token.
func TestPublishedKeys(t *testing.T) {
	a := newAuthority(t, us, newKey(t))
	raw, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct{ Kid, X, Y, Kty, Crv, Alg string }
	}
	if err := json.Unmarshal(raw, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%s: %v", raw, err)
	}
	published := set.Keys[0]
	number := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || len(b) != 32 {
			t.Fatalf("coordinate %q: %v", s, err)
		}
		return new(big.Int).SetBytes(b)
	}
	public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number(published.X), Y: number(published.Y)}
	token, err := jwt.Parse(issue(t, a, time.Hour), func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != published.Kid {
			t.Errorf("the token's key is %v, the published one %s", token.Header["kid"], published.Kid)
		}
		return public, nil
	})
	if err != nil || !token.Valid || published.Kty != "EC" || published.Crv != "P-256" || published.Alg != "ES256" {
		t.Errorf("by %+v: %v", published, err)
	}
	configuration, err := a.Configuration("https://server" + KeysPath)
	want := `{"issuer":"https://issuer.test","jwks_uri":"https://server/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}`
	if err != nil || string(configuration) != want {
		t.Errorf("%s, %v\nwant %s", configuration, err, want)
	}
}

func FuzzVerify(f *testing.F) {
	a := newAuthority(f, us, newKey(f))
	f.Add(issue(f, a, time.Hour))
	f.Add("e30.e30.")
	other := newAuthority(f, us, newKey(f))
	f.Fuzz(func(t *testing.T, text string) {
		if claims, _, err := other.Verify(text); claims != nil {
			t.Errorf("%q is a token of a key that never signed: %v", text, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	a := newAuthority(b, us, newKey(b))
	text := issue(b, a, time.Hour)
	for b.Loop() {
		if _, _, err := a.Verify(text); err != nil {
			b.Fatal(err)
		}
	}
}
