package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// A Ref names an object. The UID distinguishes objects that had the same name.
type Ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// An Account is the subject of a signed token, in the form of the claim "kubernetes.io" (KEP-1205, KEP-4193): a
// ServiceAccount and the objects that the token is bound to. The token is valid only while all of them exist. If
// there is a Pod, Node is informational: it is the node of the Pod.
type Account struct {
	Namespace      string `json:"namespace,omitempty"`
	Node           *Ref   `json:"node,omitempty"`
	Pod            *Ref   `json:"pod,omitempty"`
	Secret         *Ref   `json:"secret,omitempty"`
	ServiceAccount Ref    `json:"serviceaccount,omitempty"`
}

// Claims are the content of a signed token.
type Claims struct {
	jwt.RegisteredClaims
	Account Account `json:"kubernetes.io"`
}

// An Authority signs tokens with a key and verifies them.
type Authority struct {
	issuer   string
	key      *ecdsa.PrivateKey
	keyID    string
	parser   *jwt.Parser
	times    *jwt.Validator
	verified *cache.LRUExpireCache // *Claims by SHA-256 of the token; everything except the time was verified
}

const (
	// leeway is the difference that is allowed between the clocks of two servers; upstream's value.
	leeway = time.Minute
	// maxVerified and verifiedFor bound the cache of verified signatures. Verifying a signature costs more than the rest
	// of an authentication.
	maxVerified = 4096
	verifiedFor = 5 * time.Minute
)

// NewAuthority returns an authority with the given issuer, a URL. The key must be on P-256.
func NewAuthority(issuer string, key *ecdsa.PrivateKey) (*Authority, error) {
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the key is on %s, not on P-256", key.Curve.Params().Name)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	id := sha256.Sum256(public)
	return &Authority{
		issuer:   issuer,
		key:      key,
		keyID:    base64.RawURLEncoding.EncodeToString(id[:]), // upstream's form
		parser:   jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithoutClaimsValidation()),
		times:    jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithIssuer(issuer)),
		verified: cache.NewLRUExpireCache(maxVerified),
	}, nil
}

// Issue signs a token for account. The members of audiences may accept the token for lifetime, which is counted in
// whole seconds.
func (a *Authority) Issue(account Account, audiences []string, lifetime time.Duration) (text string, claims Claims,
	err error) {
	now := time.Now().Truncate(time.Second)
	subject := serviceaccount.MakeUsername(account.Namespace, account.ServiceAccount.Name)
	claims = Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: a.issuer, Subject: subject, Audience: audiences, ID: string(uuid.NewUUID()),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
		},
		Account: account,
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = a.keyID
	delete(token.Header, "typ") // upstream's tokens have no typ
	if text, err = token.SignedString(a.key); err != nil {
		return "", Claims{}, fmt.Errorf("signing a token: %w", err)
	}
	return text, claims, nil
}

// Verify returns the claims of text if it is a token of this authority that is valid now. ours is false, without an
// error, if text is no signed token or has another issuer. The claims are shared and must not be changed.
func (a *Authority) Verify(text string) (claims *Claims, ours bool, err error) {
	digest := sha256.Sum256([]byte(text))
	if known, ok := a.verified.Get(digest); ok {
		claims = known.(*Claims)
	} else {
		if claims, ours, err = a.verifySignature(text); err != nil || !ours {
			return nil, ours, err
		}
		a.verified.Add(digest, claims, verifiedFor)
	}
	switch err := a.times.Validate(claims); {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, true, errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return nil, true, errors.New("service account token is not valid yet")
	case err != nil:
		return nil, true, fmt.Errorf("service account token claims could not be validated: %w", err)
	}
	return claims, true, nil
}

func (a *Authority) verifySignature(text string) (claims *Claims, ours bool, err error) {
	claims = &Claims{}
	if _, _, err := a.parser.ParseUnverified(text, claims); err != nil || claims.Issuer != a.issuer {
		return nil, false, nil
	}
	claims = &Claims{} // drop the claims that were read without verification
	_, err = a.parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		if id, named := token.Header["kid"]; named && id != a.keyID {
			return nil, errors.New("signed with a key that this server does not have")
		}
		return a.key.Public(), nil
	})
	if err != nil {
		return nil, true, fmt.Errorf("checking the signature of a token: %w", err)
	}
	return claims, true, nil
}

// EncodeKey returns the PEM form of a signing key.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// DecodeKey reads the PEM form of a signing key: PKCS #8, or SEC 1 as openssl ecparam writes it. The key must be
// ECDSA.
func DecodeKey(text []byte) (*ecdsa.PrivateKey, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			if key, ok := key.(*ecdsa.PrivateKey); ok {
				return key, nil
			}
			return nil, fmt.Errorf("a key of type %T cannot sign tokens; want ECDSA on P-256", key)
		}
	}
	return nil, errors.New("no private key in PEM form")
}
