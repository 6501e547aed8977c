package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// The algorithms that tokens may be signed with (RFC 7518 section 3.1, RFC 8037).
const (
	algHS256 = "HS256"
	algRS256 = "RS256"
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

// A verifyKey verifies tokens of exactly one algorithm: the key decides it, never
// the token. So no public key can be taken for an HMAC secret.
type verifyKey struct {
	id  string // kid; may be empty
	alg string
	key any // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// Bounds of RSA keys in bits: RFC 7518 section 3.3 wants 2048 or more; a huge key
// would make every check of a signature dear.
const (
	minRSA = 2048
	maxRSA = 8192
)

var errPrivate = errors.New("this is a private key: only the public half belongs here")

// publicKey makes a verifyKey of a public key, if it is of a kind that we use.
func publicKey(id string, key any) (verifyKey, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return verifyKey{}, fmt.Errorf("an RSA key must have %d to %d bits, this one has %d", minRSA, maxRSA, n)
		}
		return verifyKey{id, algRS256, k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return verifyKey{}, errors.New("an EC key must be on the curve P-256 (ES256)")
		}
		return verifyKey{id, algES256, k}, nil
	case ed25519.PublicKey:
		return verifyKey{id, algEdDSA, k}, nil
	}
	return verifyKey{}, fmt.Errorf("keys of type %T cannot verify tokens", key)
}

// parsePublicKey reads what an issuer's public_key may be: PEM (a public key or a
// certificate), a JWK, or a JWK set.
func parsePublicKey(text string) ([]verifyKey, error) {
	data := bytes.TrimSpace([]byte(text))
	if bytes.HasPrefix(data, []byte("{")) {
		return parseJWKs(data)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("neither PEM nor a JWK")
	}
	key, err := parsePEM(block)
	if err != nil {
		return nil, err
	}
	k, err := publicKey("", key)
	return []verifyKey{k}, err
}

func parsePEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errPrivate
	}
	return nil, fmt.Errorf("a PEM block of type %q is no public key", block.Type)
}

// jwk is a JSON Web Key (RFC 7517), as far as public keys need it. References to
// elsewhere (x5u) are never followed.
type jwk struct {
	Kty  string   `json:"kty"`
	Kid  string   `json:"kid"`
	Use  string   `json:"use"`
	Ops  []string `json:"key_ops"`
	Alg  string   `json:"alg"`
	Crv  string   `json:"crv"`
	X    string   `json:"x"`
	Y    string   `json:"y"`
	N    string   `json:"n"`
	E    string   `json:"e"`
	D    string   `json:"d"`
	K    string   `json:"k"`
	Keys []jwk    `json:"keys"` // of a set
}

// maxJWKs bounds how many keys one set may have.
const maxJWKs = 64

// parseJWKs reads one JWK, or a set. Of a set, keys of other kinds or for other
// uses are left out; one that is given alone must be usable.
func parseJWKs(data []byte) ([]verifyKey, error) {
	var j jwk
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, errors.New("not a JSON Web Key: it is not JSON of that shape")
	}
	if j.Kty != "" {
		k, err := j.public()
		return []verifyKey{k}, err
	}
	if len(j.Keys) > maxJWKs {
		return nil, fmt.Errorf("a key set may have %d keys at most", maxJWKs)
	}
	var keys []verifyKey
	for _, one := range j.Keys {
		if k, err := one.public(); err == nil {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it can verify RS256, ES256 or EdDSA")
	}
	return keys, nil
}

func (j jwk) public() (verifyKey, error) {
	if j.D != "" || j.K != "" || j.Kty == "oct" {
		return verifyKey{}, errPrivate
	}
	if j.Use != "" && j.Use != "sig" {
		return verifyKey{}, fmt.Errorf("a key for the use %q cannot verify tokens", j.Use)
	}
	if len(j.Ops) > 0 && !slices.Contains(j.Ops, "verify") {
		return verifyKey{}, errors.New("its key_ops do not allow to verify")
	}
	material, err := j.material()
	if err != nil {
		return verifyKey{}, err
	}
	k, err := publicKey(j.Kid, material)
	if err != nil {
		return verifyKey{}, err
	}
	if j.Alg != "" && j.Alg != k.alg && (j.Alg != "Ed25519" || k.alg != algEdDSA) {
		return verifyKey{}, fmt.Errorf("a key for %q is not used", j.Alg)
	}
	return k, nil
}

// material returns the public key of j (RFC 7518 section 6, RFC 8037 section 2).
func (j jwk) material() (any, error) {
	switch {
	case j.Kty == "RSA":
		n, err1 := base64.RawURLEncoding.DecodeString(j.N)
		e, err2 := base64.RawURLEncoding.DecodeString(j.E)
		exp := new(big.Int).SetBytes(e)
		if err1 != nil || err2 != nil || exp.BitLen() > 31 || exp.Int64() < 3 || exp.Bit(0) == 0 {
			return nil, errors.New("not an RSA key")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())}, nil
	case j.Kty == "EC" && j.Crv == "P-256":
		x, err1 := base64.RawURLEncoding.DecodeString(j.X)
		y, err2 := base64.RawURLEncoding.DecodeString(j.Y)
		if err1 != nil || err2 != nil || len(x) != 32 || len(y) != 32 {
			return nil, errors.New("not a point on P-256")
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	case j.Kty == "OKP" && j.Crv == "Ed25519":
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("not an Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, fmt.Errorf("keys of kty %q, crv %q are not used", j.Kty, j.Crv)
}
