package tokens

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// The paths where others learn how to verify the tokens of an authority (OpenID Connect Discovery 1.0, section 4;
// RFC 7517).
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/openid/v1/jwks"
)

// configuration is the part of the OpenID provider metadata that upstream publishes.
type configuration struct {
	Issuer        string   `json:"issuer"`
	KeysURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// publicKey is an elliptic curve key (RFC 7518, section 6.2).
type publicKey struct {
	Use       string `json:"use"`
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// Configuration returns the document for ConfigurationPath. keysURI is the whole URL of KeysPath.
func (a *Authority) Configuration(keysURI string) ([]byte, error) {
	return json.Marshal(configuration{
		Issuer: a.issuer, KeysURI: keysURI, ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"},
		Algorithms: []string{jwt.SigningMethodES256.Alg()},
	})
}

// Keys returns the document for KeysPath.
func (a *Authority) Keys() ([]byte, error) {
	point, err := a.key.PublicKey.Bytes() // 0x04, then the two coordinates
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	half := len(point) / 2
	return json.Marshal(map[string][]publicKey{"keys": {{
		Use: "sig", Type: "EC", ID: a.keyID, Curve: a.key.Curve.Params().Name, Algorithm: jwt.SigningMethodES256.Alg(),
		X: base64.RawURLEncoding.EncodeToString(point[1 : 1+half]),
		Y: base64.RawURLEncoding.EncodeToString(point[1+half:]),
	}}})
}
