package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// The type, namespace and name of the Secrets that hold users' tokens.
const (
	SecretType      corev1.SecretType = "viaduct.dev/token"
	SecretNamespace                   = metav1.NamespaceSystem

	secretPrefix = "viaduct-token-" // followed by the token's ID
)

// The keys of such a Secret.
const (
	keyUser    = "user"
	keyGroups  = "groups"     // one per line; absent: none
	keyExpires = "expiration" // RFC 3339; absent: never
	keyHash    = "sha256"     // of the whole token, in hexadecimal
)

// A Grant is the identity that a token authenticates.
type Grant struct {
	ID      string
	User    string
	Groups  []string
	Expires time.Time // zero: never

	hash [sha256.Size]byte
}

// Lengths in base32 letters of five bits each. The secret has 130 bits, so a fast hash is safe.
const (
	idLength     = 10
	secretLength = 26
)

// New creates a token of the form ID.SECRET. The text is for its bearer and cannot be recovered from the Secret,
// which is stored in the API. A zero expires means that the token does not expire.
func New(name string, groups []string, expires time.Time) (text string, secret *corev1.Secret) {
	id := strings.ToLower(rand.Text()[:idLength])
	text = id + "." + strings.ToLower(rand.Text())
	hash := sha256.Sum256([]byte(text))
	secret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: SecretNamespace, Name: SecretName(id)},
		Type:       SecretType,
		Data:       map[string][]byte{keyUser: []byte(name), keyHash: []byte(hex.EncodeToString(hash[:]))},
	}
	if len(groups) > 0 {
		secret.Data[keyGroups] = []byte(strings.Join(groups, "\n"))
	}
	if !expires.IsZero() {
		secret.Data[keyExpires] = []byte(expires.UTC().Format(time.RFC3339))
	}
	return text, secret
}

// SecretName returns the name of the Secret of a token.
func SecretName(id string) string { return secretPrefix + id }

// ID returns the ID part of a token. ok is false if text does not have the form of a token.
func ID(text string) (id string, ok bool) {
	id, secret, found := strings.Cut(text, ".")
	if !found || len(id) != idLength || len(secret) != secretLength || !isBase32(id) || !isBase32(secret) {
		return "", false
	}
	return id, true
}

// IsID reports whether s has the form of a token's ID.
func IsID(s string) bool { return len(s) == idLength && isBase32(s) }

func isBase32(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '2' || r > '7') }) < 0
}

// Matches reports whether text is the token of g, in constant time.
func (g Grant) Matches(text string) bool {
	hash := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(hash[:], g.hash[:]) == 1
}

// Expired reports whether the token has expired.
func (g Grant) Expired(now time.Time) bool { return !g.Expires.IsZero() && !now.Before(g.Expires) }

// Parse reads the Secret of a token, which must have SecretType. It returns errors for an identity that no token may
// have.
func Parse(secret *corev1.Secret) (Grant, field.ErrorList) {
	data := field.NewPath("data")
	g := Grant{User: string(secret.Data[keyUser])}
	var errs field.ErrorList
	id, named := strings.CutPrefix(secret.Name, secretPrefix)
	if !named || !IsID(id) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), secret.Name,
			fmt.Sprintf("must be %s followed by %d base32 letters", secretPrefix, idLength)))
	}
	g.ID = id
	if secret.Namespace != SecretNamespace {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), secret.Namespace,
			"must be "+SecretNamespace))
	}
	if text := string(secret.Data[keyGroups]); text != "" {
		g.Groups = strings.Split(text, "\n")
	}
	errs = append(errs, CheckLogin(g.User, g.Groups, data.Key(keyUser), data.Key(keyGroups))...)
	hash, err := hex.DecodeString(string(secret.Data[keyHash]))
	if err == nil && len(hash) != sha256.Size {
		err = errors.New("wrong length")
	}
	if err != nil { // the error does not repeat the value, which may be the token itself
		errs = append(errs, field.Invalid(data.Key(keyHash), "", "must be the SHA-256 of the token in hexadecimal"))
	}
	copy(g.hash[:], hash)
	if text, ok := secret.Data[keyExpires]; ok {
		if g.Expires, err = time.Parse(time.RFC3339, string(text)); err != nil || g.Expires.IsZero() {
			errs = append(errs, field.Invalid(data.Key(keyExpires), string(text), "must be an RFC 3339 time"))
		}
	}
	return g, errs
}

// CheckLogin returns errors if no token may authenticate as user name in groups. The paths are those of the two
// values.
func CheckLogin(name string, groups []string, namePath, groupsPath *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case name == "":
		errs = append(errs, field.Required(namePath, "a token needs a user"))
	case strings.ContainsFunc(name, isControl):
		errs = append(errs, field.Invalid(namePath, name, "must not have control characters"))
	case name == user.Anonymous:
		errs = append(errs, field.Forbidden(namePath, "no token can authenticate as "+name))
	case strings.HasPrefix(name, serviceaccount.ServiceAccountUsernamePrefix):
		errs = append(errs, field.Forbidden(namePath, "a ServiceAccount has its own tokens: kubectl create token"))
	}
	for _, group := range groups {
		switch {
		case group == "" || strings.ContainsFunc(group, isControl):
			errs = append(errs, field.Invalid(groupsPath, group, "a group must not be empty or have control characters"))
		case group == user.SystemPrivilegedGroup:
			errs = append(errs, field.Forbidden(groupsPath,
				"no role can limit "+group+"; its members authenticate by certificate"))
		case group == user.AllUnauthenticated:
			errs = append(errs, field.Forbidden(groupsPath, "no authenticated user is in "+group))
		}
	}
	return errs
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
