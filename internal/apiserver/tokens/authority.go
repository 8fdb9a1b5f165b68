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

// A Ref names an object, and says which of those that have had the name is meant.
type Ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// An Account is whom a signed token is for, in the form of the claim "kubernetes.io" (KEP-1205, KEP-4193): a
// ServiceAccount, and what it is bound to: the token is valid only while all of these exist. Node is only where the Pod
// is if there is a Pod.
type Account struct {
	Namespace      string `json:"namespace,omitempty"`
	Node           *Ref   `json:"node,omitempty"`
	Pod            *Ref   `json:"pod,omitempty"`
	Secret         *Ref   `json:"secret,omitempty"`
	ServiceAccount Ref    `json:"serviceaccount,omitempty"`
}

// Claims are what a signed token says.
type Claims struct {
	jwt.RegisteredClaims
	Account Account `json:"kubernetes.io"`
}

// An Authority signs tokens with a key, and knows its own again.
type Authority struct {
	issuer   string
	key      *ecdsa.PrivateKey
	keyID    string
	parser   *jwt.Parser
	times    *jwt.Validator
	verified *cache.LRUExpireCache // SHA-256 of a token → *Claims, of which all but the time has been checked
}

const (
	// leeway is how far the clocks of two servers may be apart; upstream's.
	leeway = time.Minute
	// maxVerified and verifiedFor bound the memory of checked signatures: a check costs more than all else of a login.
	maxVerified = 4096
	verifiedFor = 5 * time.Minute
)

// NewAuthority makes an authority that calls itself issuer, a URL. The key must be on P-256.
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
		keyID:    base64.RawURLEncoding.EncodeToString(id[:]), // as upstream names it
		parser:   jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithoutClaimsValidation()),
		times:    jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithIssuer(issuer)),
		verified: cache.NewLRUExpireCache(maxVerified),
	}, nil
}

// Issue signs a token for account that those of audiences may accept for lifetime, which is counted in whole seconds.
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
	delete(token.Header, "typ") // upstream has none
	if text, err = token.SignedString(a.key); err != nil {
		return "", Claims{}, fmt.Errorf("signing a token: %w", err)
	}
	return text, claims, nil
}

// Verify returns what text says, if it is a token of this authority and its time has come and is not over. It is not
// ours, and no error, if text is no such token or another issuer's. The claims are shared, and must not be changed.
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
	claims = &Claims{} // what follows is to stand on verified text alone
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

// EncodeKey is the PEM form of a signing key.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// DecodeKey reads the PEM form of a signing key, which must be an ECDSA key: PKCS #8, or SEC 1 as openssl ecparam
// writes it.
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
			return nil, fmt.Errorf("a key of type %T cannot sign tokens: it must be ECDSA on P-256", key)
		}
	}
	return nil, errors.New("no private key in PEM form")
}
