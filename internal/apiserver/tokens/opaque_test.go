package tokens

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestOpaqueToken(t *testing.T) {
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	text, secret := New("ann", []string{"dev", "ops"}, expires)
	id, ok := ID(text)
	if !ok || secret.Name != SecretName(id) || secret.Namespace != SecretNamespace || secret.Type != SecretType {
		t.Errorf("token of ID %q, %v, in %s/%s of type %s", id, ok, secret.Namespace, secret.Name, secret.Type)
	}
	for key, value := range secret.Data {
		if strings.Contains(string(value), text[len(id)+1:]) {
			t.Errorf("the Secret has the token itself, in %s", key)
		}
	}
	grant, errs := Parse(secret)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	if grant.ID != id || grant.User != "ann" || !slices.Equal(grant.Groups, []string{"dev", "ops"}) ||
		!grant.Expires.Equal(expires) {
		t.Errorf("read back as %+v", grant)
	}
	other, _ := New("ann", nil, time.Time{})
	if !grant.Matches(text) || grant.Matches(other) || grant.Matches("") {
		t.Errorf("matches: its own %v, another %v, none %v", grant.Matches(text), grant.Matches(other), grant.Matches(""))
	}
	if grant.Expired(expires.Add(-time.Second)) || !grant.Expired(expires) {
		t.Error("it does not expire at its expiry time")
	}
}

func TestTokenWithoutEnd(t *testing.T) {
	_, secret := New("ann", nil, time.Time{})
	grant, errs := Parse(secret)
	if len(errs) > 0 || grant.Groups != nil || grant.Expired(time.Now().Add(1000*time.Hour)) {
		t.Errorf("%+v, %v", grant, errs.ToAggregate())
	}
}

func TestID(t *testing.T) {
	text, _ := New("ann", nil, time.Time{})
	for text, want := range map[string]bool{
		text: true, "": false, ".": false, text[1:]: false, text + "a": false, strings.ToUpper(text): false,
		text + ".x":  false,
		"aaaaaaaaaa": false, "aaaaaaaaaa.": false, "aaaaaaaa/a." + strings.Repeat("a", 26): false,
		"eyJhbGciOi.eyJpc3MiOiJ.c2lnbmF0": false,
	} {
		if _, ok := ID(text); ok != want {
			t.Errorf("%q: %v, want %v", text, ok, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Secret)
		want   string // kind of error and path
	}{
		"another name": {func(s *corev1.Secret) { s.Name = "mine" }, "FieldValueInvalid metadata.name"},
		"another namespace": {func(s *corev1.Secret) { s.Namespace = "default" },
			"FieldValueInvalid metadata.namespace"},
		"no user": {func(s *corev1.Secret) { delete(s.Data, keyUser) }, "FieldValueRequired data[user]"},
		"two users": {func(s *corev1.Secret) { s.Data[keyUser] = []byte("a\nb") },
			"FieldValueInvalid data[user]"},
		"a service account": {func(s *corev1.Secret) { s.Data[keyUser] = []byte("system:serviceaccount:a:b") },
			"FieldValueForbidden data[user]"},
		"anonymous": {func(s *corev1.Secret) { s.Data[keyUser] = []byte("system:anonymous") },
			"FieldValueForbidden data[user]"},
		"unlimited rights": {func(s *corev1.Secret) { s.Data[keyGroups] = []byte("dev\nsystem:masters") },
			"FieldValueForbidden data[groups]"},
		"unauthenticated users": {func(s *corev1.Secret) { s.Data[keyGroups] = []byte("system:unauthenticated") },
			"FieldValueForbidden data[groups]"},
		"a group without name": {func(s *corev1.Secret) { s.Data[keyGroups] = []byte("dev\n") },
			"FieldValueInvalid data[groups]"},
		"no hash": {func(s *corev1.Secret) { delete(s.Data, keyHash) }, "FieldValueInvalid data[sha256]"},
		"a hash of another length": {func(s *corev1.Secret) { s.Data[keyHash] = []byte("00ff") },
			"FieldValueInvalid data[sha256]"},
		"an expiry in words": {func(s *corev1.Secret) { s.Data[keyExpires] = []byte("tomorrow") },
			"FieldValueInvalid data[expiration]"},
		"a zero expiry": {func(s *corev1.Secret) { s.Data[keyExpires] = []byte("0001-01-01T00:00:00Z") },
			"FieldValueInvalid data[expiration]"},
	} {
		t.Run(name, func(t *testing.T) {
			text, secret := New("ann", []string{"dev"}, time.Time{})
			c.change(secret)
			_, errs := Parse(secret)
			if len(errs) != 1 || string(errs[0].Type)+" "+errs[0].Field != c.want {
				t.Fatalf("%v, want %s", errs.ToAggregate(), c.want)
			}
			if strings.Contains(errs.ToAggregate().Error(), text) {
				t.Error("the error has the token")
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	text, secret := New("ann", []string{"dev"}, time.Unix(1e9, 0))
	f.Add(secret.Name, secret.Data[keyUser], secret.Data[keyGroups], secret.Data[keyExpires], secret.Data[keyHash])
	f.Add("", []byte(""), []byte("\n"), []byte("x"), []byte("zz"))
	f.Fuzz(func(t *testing.T, name string, user, groups, expires, hash []byte) {
		secret := &corev1.Secret{Type: SecretType, Data: map[string][]byte{keyUser: user, keyGroups: groups,
			keyExpires: expires, keyHash: hash}}
		secret.Name, secret.Namespace = name, SecretNamespace
		grant, errs := Parse(secret)
		if len(errs) > 0 {
			return
		}
		if name != SecretName(grant.ID) || len(CheckLogin(grant.User, grant.Groups, field.NewPath("u"),
			field.NewPath("g"))) > 0 {
			t.Errorf("accepted %q as %+v", name, grant)
		}
		if id, _ := ID(text); id != grant.ID && grant.Matches(text) {
			t.Errorf("the token of %s logs in by the Secret of %s", id, grant.ID)
		}
	})
}
