package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// clock shows what a test sets.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func (c *clock) move(d time.Duration) { c.set(c.read().Add(d)) }

// rig is an Auth on a data folder, with its clock at noon and all it logs.
type rig struct {
	*Auth
	store *store.Store
	clock *clock
	dir   string
	log   *safeBuffer
}

// safeBuffer is a bytes.Buffer that goroutines may share.
type safeBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newRig(t testing.TB, issuers ...Issuer) *rig {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, store.Database), empty(), 0o600); err != nil {
		t.Fatal(err)
	}
	return rigOn(t, dir, &clock{now: noon}, issuers...)
}

// empty is a new database, made once: making its tables takes longer than most
// of these tests.
var empty = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "auth")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, store.Database))
	if err != nil {
		panic(err)
	}
	return data
})

// another is a second process on the same data folder.
func (r *rig) another(t testing.TB, issuers ...Issuer) *rig {
	t.Helper()
	return rigOn(t, r.dir, r.clock, issuers...)
}

func rigOn(t testing.TB, dir string, c *clock, issuers ...Issuer) *rig {
	t.Helper()
	log := &safeBuffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := store.Open(context.Background(), store.Options{Dir: dir, Clock: c.read, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	a, err := New(Options{Store: s, Issuers: issuers, Clock: c.read, Log: logger, PublicURL: "https://chat.example"})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{Auth: a, store: s, clock: c, dir: dir, log: log}
}

// trust replaces the issuers.
func (r *rig) trust(t testing.TB, issuers ...Issuer) {
	t.Helper()
	if err := r.SetIssuers(issuers); err != nil {
		t.Fatal(err)
	}
}

// tenant makes tenants.
func (r *rig) tenant(t testing.TB, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := r.store.EnsureTenant(context.Background(), n); err != nil {
			t.Fatal(err)
		}
	}
}

// judge authenticates a credential for an ordinary request.
func (r *rig) judge(credential string) (tandem.Principal, error) {
	return r.Authenticate(context.Background(), Present(credential, false), Use{Purpose: Request, Route: "GET /"})
}

// good fails the test unless the credential is accepted.
func (r *rig) good(t testing.TB, credential string) tandem.Principal {
	t.Helper()
	p, err := r.judge(credential)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return p
}

// refused fails the test unless the credential is refused for this reason, and
// with the sentence and kind that belong to it.
func (r *rig) refused(t testing.TB, credential string, want Reason) {
	t.Helper()
	p, err := r.judge(credential)
	checkRefusal(t, p, err, want)
}

func checkRefusal(t testing.TB, p tandem.Principal, err error, want Reason) {
	t.Helper()
	if got := ReasonOf(err); got != want {
		t.Errorf("reason %q, want %q (%v)", got, want, err)
		return
	}
	if tandem.KindOf(err) != tandem.Unauthorized {
		t.Errorf("kind of %v is not Unauthorized", err)
	}
	text := "Invalid or expired token"
	switch want {
	case ReasonNone:
		text = "Not authenticated"
	case ReasonRevoked:
		text = "Token has been revoked. Please login again."
	}
	if e, ok := err.(*tandem.Error); !ok || e.Message != text {
		t.Errorf("clients would see %q, want %q", err, text)
	}
	if p.Tenant != "" || p.Subject != "" || p.Role != "" {
		t.Errorf("a refused credential must stand for nobody, got %v of %v", p.Role, p.Tenant)
	}
}

// mint makes a token of the server's own.
func (r *rig) mint(t testing.TB, req MintRequest) string {
	t.Helper()
	if req.Subject == "" {
		req.Subject = "ann"
	}
	if req.Role == "" {
		req.Role = tandem.Participant
	}
	tok, err := r.Mint(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return tok.Token.Reveal()
}

// key makes an API key.
func (r *rig) key(t testing.TB, req KeyRequest) (string, Key) {
	t.Helper()
	if req.Tenant == "" {
		req.Tenant = "default"
	}
	if req.Role == "" {
		req.Role = tandem.Agent
	}
	secret, k, err := r.CreateKey(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal(), k
}

// keyring is one key pair of each kind, made once: RSA keys take their time.
type keyring struct {
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	secret []byte
}

var keys = sync.OnceValue(func() keyring { return newKeyring() })

func newKeyring() keyring {
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, d, err3 := ed25519.GenerateKey(rand.Reader)
	if err1 != nil || err2 != nil || err3 != nil {
		panic("no keys")
	}
	return keyring{r, e, d, []byte("0123456789abcdef0123456789abcdef")}
}

// key returns what signs alg.
func (k keyring) key(alg string) any {
	switch alg {
	case algRS256:
		return k.rsa
	case algES256:
		return k.ec
	case algEdDSA:
		return k.ed
	}
	return k.secret
}

func publicPEM(t testing.TB, private crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// publicJWK writes a public key as RFC 7517 wants it, by hand.
func publicJWK(t testing.TB, kid string, private crypto.Signer) map[string]any {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := private.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"kty": "EC", "kid": kid, "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(k)}
	}
	t.Fatal("no such key")
	return nil
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// body is a good set of claims of the issuer https://id.example at noon.
func body(change map[string]any) map[string]any {
	c := map[string]any{"iss": "https://id.example", "sub": "Ann", "iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(), "jti": "j1"}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// sign makes a token.
func sign(t testing.TB, alg string, key any, header, claims map[string]any) string {
	t.Helper()
	tok := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims(claims))
	for k, v := range header {
		tok.Header[k] = v
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// issuerFor is the issuer https://id.example of tenant default with the test's
// key for alg.
func issuerFor(t testing.TB, alg string) Issuer {
	t.Helper()
	is := Issuer{Issuer: "https://id.example", Tenant: "default"}
	switch alg {
	case algHS256:
		is.Secret = Secret(keys().secret)
	default:
		is.PublicKey = publicPEM(t, keys().key(alg).(crypto.Signer))
	}
	return is
}

func TestAuthenticate_tellsWhatIsMissingOrMalformed(t *testing.T) {
	r := newRig(t)
	checkRefusal(t, tandem.Principal{}, func() error {
		_, err := r.Authenticate(context.Background(), Presented{}, Use{})
		return err
	}(), ReasonNone)
	r.refused(t, "", ReasonNone)
	for _, s := range []string{
		"undefined", "null", "Bearer", "sk", "xk-123", "a.b", "a.b.c.d", "a.b.c=", "sk-with space", "sk-ü", "tk-a/b", "..é",
		"sk-" + strings.Repeat("a", maxCredential),
	} {
		r.refused(t, s, ReasonMalformed)
	}
	for _, s := range []string{"sk-", "sk-nobody", "tk-", "tk-nobody", "sk-" + strings.Repeat("a", maxCredential-3)} {
		r.refused(t, s, ReasonUnknown)
	}
	for _, s := range []string{"..", "a.b.c", "e30.e30.", "bnVsbA.bnVsbA.bnVsbA"} {
		if _, err := r.judge(s); tandem.KindOf(err) != tandem.Unauthorized {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// An Auth that cannot read its store must not say that the credential is bad.
func TestAuthenticate_withoutItsStoreIsNoRefusal(t *testing.T) {
	r := newRig(t)
	token := r.mint(t, MintRequest{})
	secret, _ := r.key(t, KeyRequest{})
	r.good(t, token)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.clock.move(pollEvery)
	for _, s := range []string{token, secret, "tk-abc"} {
		if _, err := r.judge(s); err == nil || ReasonOf(err) != "" || tandem.KindOf(err) == tandem.Unauthorized {
			t.Errorf("with the store closed: %v", err)
		}
	}
}
