package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

func TestSetIssuers_refusesWhatIsNotSafe(t *testing.T) {
	r := newRig(t, issuerFor(t, algHS256))
	ok := issuerFor(t, algRS256)
	private, err := x509.MarshalPKCS8PrivateKey(keys().rsa)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Issuer)
		says   string
	}{
		"no name":              {func(i *Issuer) { i.Issuer = "" }, "needs a name"},
		"this server":          {func(i *Issuer) { i.Issuer = "https://chat.example" }, "this server itself"},
		"no tenant":            {func(i *Issuer) { i.Tenant = "" }, "either tenant or tenants"},
		"tenant and tenants":   {func(i *Issuer) { i.Tenants = []string{"a"} }, "either tenant or tenants"},
		"any tenant":           {func(i *Issuer) { i.Tenant = "*" }, "invalid tenant"},
		"one bad tenant":       {func(i *Issuer) { i.Tenant, i.Tenants = "", []string{"a", "B"} }, "invalid tenant"},
		"unknown role":         {func(i *Issuer) { i.Roles = []tandem.PrincipalRole{"admin"} }, "role must be"},
		"roles without claim":  {func(i *Issuer) { i.Roles = []tandem.PrincipalRole{"operator", "owner"} }, "claims.role"},
		"no key":               {func(i *Issuer) { i.PublicKey = "" }, "exactly one of"},
		"two keys":             {func(i *Issuer) { i.Secret = Secret(keys().secret) }, "exactly one of"},
		"three keys":           {func(i *Issuer) { i.JWKS, i.Secret = "https://x/jwks", "x" }, "exactly one of"},
		"short secret":         {func(i *Issuer) { i.PublicKey, i.Secret = "", Secret(strings.Repeat("x", 31)) }, "32 bytes"},
		"public key as secret": {func(i *Issuer) { i.Secret, i.PublicKey = Secret(i.PublicKey), "" }, "PEM"},
		"garbage":              {func(i *Issuer) { i.PublicKey = "AAAA" }, "neither PEM nor a JWK"},
		"private key":          {func(i *Issuer) { i.PublicKey = block("PRIVATE KEY", private) }, "private key"},
		"private JWK":          {func(i *Issuer) { i.PublicKey = asJSON(t, withD(t)) }, "private key"},
		"symmetric JWK":        {func(i *Issuer) { i.PublicKey = `{"kty":"oct","k":"AAAA"}` }, "private key"},
		"broken PEM":           {func(i *Issuer) { i.PublicKey = block("PUBLIC KEY", []byte("x")) }, "public_key"},
		"broken certificate":   {func(i *Issuer) { i.PublicKey = block("CERTIFICATE", []byte("x")) }, "public_key"},
		"something else":       {func(i *Issuer) { i.PublicKey = block("DH PARAMETERS", nil) }, "no public key"},
		"broken JSON":          {func(i *Issuer) { i.PublicKey = "{" }, "not a JSON Web Key"},
		"empty set":            {func(i *Issuer) { i.PublicKey = `{"keys":[]}` }, "no key in it"},
		"small RSA":            {func(i *Issuer) { i.PublicKey = rsaOf(t, 2047) }, "2048"},
		"huge RSA":             {func(i *Issuer) { i.PublicKey = rsaOf(t, 8193) }, "8192"},
		"P-384":                {func(i *Issuer) { i.PublicKey = p384(t) }, "P-256"},
		"http":                 {func(i *Issuer) { i.PublicKey, i.JWKS = "", "http://id.example/jwks" }, "https"},
		"http, almost local":   {func(i *Issuer) { i.PublicKey, i.JWKS = "", "http://localhost.example/jwks" }, "https"},
		"another scheme":       {func(i *Issuer) { i.PublicKey, i.JWKS = "", "file:///etc/jwks" }, "URL"},
		"no URL":               {func(i *Issuer) { i.PublicKey, i.JWKS = "", "::" }, "URL"},
	} {
		t.Run(name, func(t *testing.T) {
			is := ok
			c.change(&is)
			err := r.SetIssuers([]Issuer{is})
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "issuer") {
				t.Errorf("says %v, want %q", err, c.says)
			}
		})
	}
	if err := r.SetIssuers([]Issuer{ok, ok}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
	r.good(t, sign(t, algHS256, keys().secret, nil, body(nil))) // a refused list changes nothing
	if err := r.SetIssuers([]Issuer{ok}); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{Store: r.store, Issuers: []Issuer{{}}}); err == nil {
		t.Error("New must refuse a bad issuer")
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func withD(t *testing.T) map[string]any {
	j := publicJWK(t, "", keys().ed)
	j["d"] = "AAAA"
	return j
}

// rsaOf is a public key of so many bits; nobody has its private half.
func rsaOf(t *testing.T, bits int) string {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return block("PUBLIC KEY", der)
}

func p384(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return publicPEM(t, k)
}

// Each way to write down a public key.
func TestIssuer_publicKeyInEveryForm(t *testing.T) {
	r := newRig(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon, NotAfter: noon.Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, keys().ec.Public(), keys().ec)
	if err != nil {
		t.Fatal(err)
	}
	set := asJSON(t, map[string]any{"keys": []any{publicJWK(t, "a", newKeyring().ed), publicJWK(t, "b", keys().ed), publicJWK(t, "c", keys().rsa)}})
	for name, c := range map[string]struct {
		alg, text, kid string
	}{
		"PKCS 1":               {algRS256, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&keys().rsa.PublicKey)), ""},
		"certificate":          {algES256, block("CERTIFICATE", cert), ""},
		"blanks around":        {algES256, "\n  " + publicPEM(t, keys().ec) + "\n\n", ""},
		"a kid nobody gave":    {algES256, publicPEM(t, keys().ec), "7"},
		"RSA as JWK":           {algRS256, asJSON(t, publicJWK(t, "", keys().rsa)), ""},
		"EC as JWK":            {algES256, asJSON(t, publicJWK(t, "k", keys().ec)), "k"},
		"Ed25519 as JWK":       {algEdDSA, asJSON(t, publicJWK(t, "k", keys().ed)), ""},
		"set, by its kid":      {algEdDSA, set, "b"},
		"set, another key":     {algRS256, set, "c"},
		"set, without a kid":   {algEdDSA, set, ""},
		"Ed25519, named so":    {algEdDSA, asJSON(t, change(publicJWK(t, "", keys().ed), "alg", "Ed25519")), ""},
		"key_ops with verify":  {algEdDSA, asJSON(t, change(publicJWK(t, "", keys().ed), "key_ops", []string{"verify"})), ""},
		"x5u is not looked at": {algEdDSA, asJSON(t, change(publicJWK(t, "", keys().ed), "x5u", "http://127.0.0.1:1/")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.trust(t, Issuer{Issuer: "https://id.example", PublicKey: c.text, Tenant: "default"})
			header := map[string]any{}
			if c.kid != "" {
				header["kid"] = c.kid
			}
			r.good(t, sign(t, c.alg, keys().key(c.alg), header, body(nil)))
		})
	}
	r.trust(t, Issuer{Issuer: "https://id.example", PublicKey: set, Tenant: "default"})
	for _, kid := range []string{"a", "c", "d"} {
		r.refused(t, sign(t, algEdDSA, keys().ed, map[string]any{"kid": kid}, body(nil)), ReasonSignature)
	}
}

func change(j map[string]any, name string, v any) map[string]any {
	j = maps.Clone(j)
	j[name] = v
	return j
}

// A JWK that lies about itself or is for something else is left out.
func TestJWK_refusesWhatCannotVerify(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	r, e, d := publicJWK(t, "", keys().rsa), publicJWK(t, "", keys().ec), publicJWK(t, "", keys().ed)
	for name, j := range map[string]map[string]any{
		"for encryption":     change(r, "use", "enc"),
		"not for verifying":  change(d, "key_ops", []string{"sign"}),
		"another algorithm":  change(r, "alg", "RS512"),
		"HMAC by RSA":        change(r, "alg", "HS256"),
		"none":               change(e, "alg", "none"),
		"EC on P-521":        change(e, "crv", "P-521"),
		"EC not on curve":    change(e, "x", b64(make([]byte, 32))),
		"EC too short":       change(e, "y", "AAAA"),
		"EC not base64url":   change(e, "x", "+/+/"),
		"RSA without e":      change(r, "e", ""),
		"RSA with e = 1":     change(r, "e", b64([]byte{1})),
		"RSA with an even e": change(r, "e", b64([]byte{4})),
		"RSA with a huge e":  change(r, "e", b64([]byte{1, 0, 0, 0, 1})),
		"RSA without n":      change(r, "n", ""),
		"Ed25519 too long":   change(d, "x", b64(make([]byte, 33))),
		"X25519":             change(d, "crv", "X25519"),
		"no such kind":       change(d, "kty", "XYZ"),
	} {
		if keys, err := parseJWKs([]byte(asJSON(t, j))); err == nil {
			t.Errorf("%s: made %s", name, keys[0].alg)
		}
	}
	many := make([]any, maxJWKs+1)
	for i := range many {
		many[i] = d
	}
	if _, err := parseJWKs([]byte(asJSON(t, map[string]any{"keys": many}))); err == nil {
		t.Error("a set one past the limit")
	}
	if keys, err := parseJWKs([]byte(asJSON(t, map[string]any{"keys": many[1:]}))); err != nil || len(keys) != maxJWKs {
		t.Error("a set at the limit:", len(keys), err)
	}
	if keys, err := parseJWKs([]byte(asJSON(t, map[string]any{"keys": []any{change(r, "use", "enc"), withD(t), d}}))); err != nil || len(keys) != 1 {
		t.Error("of a set the usable keys stay:", len(keys), err)
	}
}

// An issuer at run time: added, changed, removed.
func TestSetIssuers_holdsAtOnce(t *testing.T) {
	r := newRig(t)
	token := sign(t, algHS256, keys().secret, nil, body(nil))
	r.refused(t, token, ReasonIssuer)
	r.trust(t, issuerFor(t, algHS256))
	p := r.good(t, token)
	less := issuerFor(t, algHS256)
	less.Roles = []tandem.PrincipalRole{tandem.Agent}
	for _, list := range [][]Issuer{nil, {less}, {issuerFor(t, algHS256)}} {
		r.trust(t, list...)
		want := Reason("")
		if len(list) == 0 || len(list[0].Roles) > 0 {
			want = ReasonIssuer
		}
		if got := ReasonOf(r.Recheck(t.Context(), p)); got != want {
			t.Errorf("with %d issuers an open stream gets %q, want %q", len(list), got, want)
		}
	}
	own := r.good(t, r.mint(t, MintRequest{}))
	secret, _ := r.key(t, KeyRequest{})
	byKey := r.good(t, secret)
	r.trust(t)
	for _, p := range []tandem.Principal{own, byKey, r.mustUse(t, r.ticket(t, byKey, Stream), at("ann"), "")} {
		if err := r.Recheck(t.Context(), p); err != nil {
			t.Error(p.Kind, "needs no issuer:", err)
		}
	}
}
