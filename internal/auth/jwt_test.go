package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

var algs = []string{algHS256, algRS256, algES256, algEdDSA}

func TestJWT_eachAlgorithmByItsKey(t *testing.T) {
	r := newRig(t)
	for _, alg := range algs {
		t.Run(alg, func(t *testing.T) {
			r.trust(t, issuerFor(t, alg))
			p := r.good(t, sign(t, alg, keys().key(alg), nil, body(map[string]any{"name": "Ann B", "email": "ann@b.example", "workflow": "support", "session": "S-1"})))
			p.Claims = nil
			want := tandem.Principal{
				Tenant: "default", Subject: "ann", Role: tandem.Participant, Workflow: "support", Session: "S-1", Name: "Ann B", Email: "ann@b.example",
				Kind: tandem.CredentialJWT, ID: "j1", Issuer: "https://id.example", Issued: noon, Expires: noon.Add(time.Hour),
			}
			if d := cmp.Diff(want, p); d != "" {
				t.Error(d)
			}
		})
	}
}

// A key serves its own algorithm and no other, before the library even looks.
func TestChoose_onlyKeysOfTheAlgorithm(t *testing.T) {
	r := newRig(t)
	kid := kidOf(t, r.mint(t, MintRequest{}))
	for _, alg := range algs {
		if own, err := r.ownKeys(t.Context(), kid, alg); err != nil || (len(own) == 1) != (alg == algHS256) {
			t.Errorf("our own secret for %s: %d keys, %v", alg, len(own), err)
		}
	}
	all := []verifyKey{{id: "a", alg: algRS256}, {id: "a", alg: algES256}, {id: "", alg: algEdDSA}, {id: "b", alg: algHS256}}
	for _, alg := range algs {
		for _, kid := range []string{"", "a", "b"} {
			for _, k := range choose(all, kid, alg) {
				if k.alg != alg {
					t.Errorf("for %s and kid %q: a key for %s", alg, kid, k.alg)
				}
			}
		}
	}
}

// Every signature by every other kind of key, and by a stranger's key of the
// right kind.
func TestJWT_refusesEveryOtherKey(t *testing.T) {
	stranger := newKeyring()
	stranger.secret = []byte("fedcba9876543210fedcba9876543210")
	r := newRig(t)
	for _, trusted := range algs {
		r.trust(t, issuerFor(t, trusted))
		for _, alg := range algs {
			if alg != trusted {
				r.refused(t, sign(t, alg, keys().key(alg), nil, body(nil)), ReasonSignature)
			}
			r.refused(t, sign(t, alg, stranger.key(alg), nil, body(nil)), ReasonSignature)
		}
	}
}

// handmade puts a token together from any header, for what no library signs.
func handmade(t testing.TB, header, claims map[string]any, mac []byte) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(asJSON(t, header))) + "." + b64([]byte(asJSON(t, claims)))
	if mac == nil {
		return text + "."
	}
	h := hmac.New(sha256.New, mac)
	h.Write([]byte(text))
	return text + "." + b64(h.Sum(nil))
}

func TestJWT_refusesAlgorithmConfusion(t *testing.T) {
	public := publicPEM(t, keys().rsa)
	r := newRig(t, issuerFor(t, algRS256))
	jwkText := asJSON(t, publicJWK(t, "", keys().rsa))
	own := r.mint(t, MintRequest{})
	for name, token := range map[string]string{
		"none":                  handmade(t, map[string]any{"alg": "none"}, body(nil), nil),
		"None":                  handmade(t, map[string]any{"alg": "None"}, body(nil), nil),
		"none of ours":          handmade(t, map[string]any{"alg": "none", "kid": kidOf(t, own)}, body(map[string]any{"iss": "https://chat.example"}), nil),
		"none with a signature": sign(t, "none", jwt.UnsafeAllowNoneSignatureType, nil, body(nil)) + "AAAA",
		"HMAC by the PEM":       handmade(t, map[string]any{"alg": "HS256"}, body(nil), []byte(public)),
		"HMAC by the PEM, cut":  handmade(t, map[string]any{"alg": "HS256"}, body(nil), []byte(strings.TrimSpace(public))),
		"HMAC by the modulus":   handmade(t, map[string]any{"alg": "HS256"}, body(nil), keys().rsa.N.Bytes()),
		"HMAC by the JWK":       handmade(t, map[string]any{"alg": "HS256"}, body(nil), []byte(jwkText)),
		"HMAC by nothing":       handmade(t, map[string]any{"alg": "HS256"}, body(nil), []byte{}),
		"RS512":                 sign(t, "RS512", keys().rsa, nil, body(nil)),
		"PS256":                 sign(t, "PS256", keys().rsa, nil, body(nil)),
		"HS512 by our kid":      sign(t, "HS512", []byte("x"), map[string]any{"kid": kidOf(t, own)}, body(map[string]any{"iss": "https://chat.example"})),
		"RS256 by our kid":      sign(t, "RS256", keys().rsa, map[string]any{"kid": kidOf(t, own)}, body(map[string]any{"iss": "https://chat.example"})),
		"unknown algorithm":     handmade(t, map[string]any{"alg": "HS257"}, body(nil), []byte("x")),
		"no algorithm":          handmade(t, map[string]any{}, body(nil), []byte("x")),
		"key in the header":     sign(t, "RS256", newKeyring().rsa, map[string]any{"jwk": publicJWK(t, "", keys().rsa)}, body(nil)),
		"our secret's iss":      sign(t, algHS256, keys().secret, nil, body(map[string]any{"iss": "https://id.example"})),
	} {
		t.Run(name, func(t *testing.T) { r.refused(t, token, ReasonSignature) })
	}
}

// kidOf reads the kid of a token.
func kidOf(t testing.TB, token string) string {
	t.Helper()
	tok, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return tok.Header["kid"].(string)
}

func TestJWT_refusesWhatItCannotRead(t *testing.T) {
	r := newRig(t, issuerFor(t, algHS256))
	good := sign(t, algHS256, keys().secret, nil, body(nil))
	head, rest, _ := strings.Cut(good, ".")
	for name, token := range map[string]string{
		"header is no JSON":  "AAAA." + rest,
		"header is null":     base64.RawURLEncoding.EncodeToString([]byte("null")) + "." + rest,
		"payload is no JSON": head + ".AAAA.AAAA",
		"payload is a list":  handmade(t, map[string]any{"alg": "HS256"}, nil, keys().secret),
		"crit":               sign(t, algHS256, keys().secret, map[string]any{"crit": []string{"b64"}, "b64": false}, body(nil)),
		"kid is a number":    sign(t, algHS256, keys().secret, map[string]any{"kid": 7}, body(nil)),
		"iss is a list":      sign(t, algHS256, keys().secret, nil, body(map[string]any{"iss": []string{"https://id.example"}})),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.judge(token); tandem.KindOf(err) != tandem.Unauthorized || ReasonOf(err) == "" {
				t.Error(err)
			}
		})
	}
	const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, c := range base64url { // its last character has bits to spare: one spelling is good
		if s := good[:len(good)-1] + string(c); s != good {
			if _, err := r.judge(s); tandem.KindOf(err) != tandem.Unauthorized {
				t.Fatalf("good with its last character spelled %c", c)
			}
		}
	}
	for i := range len(good) { // one changed character anywhere
		if good[i] == '.' {
			continue
		}
		c := byte('A')
		if good[i] == 'A' {
			c = 'B'
		}
		changed := good[:i] + string(c) + good[i+1:]
		if _, err := r.judge(changed); err == nil {
			t.Fatalf("good with character %d changed", i)
		}
	}
}

func TestJWT_claimsMustBeWhatTheySay(t *testing.T) {
	r := newRig(t, issuerFor(t, algHS256))
	for name, c := range map[string]struct {
		change map[string]any
		want   Reason
	}{
		"another issuer":           {map[string]any{"iss": "https://other.example"}, ReasonIssuer},
		"issuer in another case":   {map[string]any{"iss": "https://ID.example"}, ReasonIssuer},
		"no issuer":                {map[string]any{"iss": nil}, ReasonIssuer},
		"no subject":               {map[string]any{"sub": nil}, ReasonMalformed},
		"empty subject":            {map[string]any{"sub": ""}, ReasonMalformed},
		"subject is a list":        {map[string]any{"sub": []string{"ann"}}, ReasonMalformed},
		"subject is true":          {map[string]any{"sub": true}, ReasonMalformed},
		"subject is a fraction":    {map[string]any{"sub": 1.5}, ReasonMalformed},
		"subject is negative":      {map[string]any{"sub": -1}, ReasonMalformed},
		"subject with a line end":  {map[string]any{"sub": "ann\ndata: x"}, ReasonMalformed},
		"subject too long":         {map[string]any{"sub": strings.Repeat("a", tandem.MaxName+1)}, ReasonMalformed},
		"jti with a line end":      {map[string]any{"jti": "a\r\nb"}, ReasonMalformed},
		"jti like a key's id":      {map[string]any{"jti": "key_1"}, ReasonMalformed},
		"reserved workflow":        {map[string]any{"workflow": "$sessions"}, ReasonMalformed},
		"workflow is a number":     {map[string]any{"workflow": 1.5}, ReasonMalformed},
		"no exp":                   {map[string]any{"exp": nil}, ReasonMalformed},
		"exp is text":              {map[string]any{"exp": "4102444800"}, ReasonMalformed},
		"exp is zero":              {map[string]any{"exp": 0}, ReasonMalformed},
		"exp in milliseconds":      {map[string]any{"exp": noon.UnixMilli() * 1000}, ReasonMalformed},
		"exp beyond all numbers":   {map[string]any{"exp": json.Number("1e400")}, ReasonMalformed},
		"iat is text":              {map[string]any{"iat": "now"}, ReasonMalformed},
		"nbf is a list":            {map[string]any{"nbf": []int{1}}, ReasonMalformed},
		"audience that we are not": {map[string]any{"aud": "shop"}, ReasonAudience},
		"aud is a number":          {map[string]any{"aud": 7}, ReasonMalformed},
		"no iat and a long life":   {map[string]any{"iat": nil, "exp": noon.Add(MaxAge + time.Second).Unix()}, ReasonMalformed},
		"issued too long ago":      {map[string]any{"iat": noon.Add(-MaxAge - 5*time.Second).Unix()}, ReasonExpired},
	} {
		t.Run(name, func(t *testing.T) {
			r.refused(t, sign(t, algHS256, keys().secret, nil, body(c.change)), c.want)
		})
	}
	for name, change := range map[string]map[string]any{
		"longest subject":         {"sub": strings.Repeat("a", tandem.MaxName)},
		"numbered subject":        {"sub": json.Number("9007199254740993")},
		"no iat":                  {"iat": nil, "exp": noon.Add(MaxAge).Unix()},
		"issued almost too early": {"iat": noon.Add(-MaxAge - 4*time.Second).Unix()},
		"exp a fraction":          {"exp": float64(noon.Unix()) + 0.5},
		"name of no use":          {"name": "a\nb", "email": 7},
		"null claims":             {"aud": json.RawMessage("null"), "nbf": json.RawMessage("null"), "session": json.RawMessage("null")},
		"first sign-in is theirs": {"auth_time": 1},
		"role is not read":        {"role": "owner", "tenant": "elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.good(t, sign(t, algHS256, keys().secret, nil, body(change)))
			if p.Role != tandem.Participant || p.Tenant != "default" || strings.Contains(p.Name+p.Email, "\n") {
				t.Errorf("%+v", p)
			}
			if iat := change["iat"]; iat == nil && name != "no iat" && !p.Issued.Equal(noon) {
				t.Errorf("issued at %v", p.Issued)
			}
			if name == "numbered subject" && p.Subject != "9007199254740993" {
				t.Errorf("subject %s: a digit was lost", p.Subject)
			}
		})
	}
}

// The same leeway opens and closes: at the limit, and one microsecond past it.
func TestJWT_leewayOnBothSides(t *testing.T) {
	const leeway = 5 * time.Second
	r := newRig(t, issuerFor(t, algHS256))
	for name, c := range map[string]struct {
		change map[string]any
		now    time.Time
		want   Reason
	}{
		"just not expired":  {nil, noon.Add(time.Hour + leeway - time.Microsecond), ""},
		"expired":           {nil, noon.Add(time.Hour + leeway), ReasonExpired},
		"nbf just reached":  {map[string]any{"nbf": noon.Add(time.Minute).Unix()}, noon.Add(time.Minute - leeway), ""},
		"nbf not reached":   {map[string]any{"nbf": noon.Add(time.Minute).Unix()}, noon.Add(time.Minute - leeway - time.Microsecond), ReasonNotYet},
		"iat just reached":  {nil, noon.Add(-leeway), ""},
		"iat in the future": {nil, noon.Add(-leeway - time.Microsecond), ReasonNotYet},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, algHS256, keys().secret, nil, body(c.change))
			r.clock.set(c.now)
			if c.want != "" {
				r.refused(t, token, c.want)
				return
			}
			p := r.good(t, token)
			if got := r.Deadline(p); !got.Equal(noon.Add(time.Hour + leeway)) {
				t.Error("its streams would end at", got)
			}
			if err := r.Recheck(context.Background(), p); err != nil {
				t.Error(err)
			}
			r.clock.set(noon.Add(time.Hour + leeway))
			if got := ReasonOf(r.Recheck(context.Background(), p)); got != ReasonExpired {
				t.Error("a recheck at its deadline says", got)
			}
		})
	}
}

func TestJWT_audience(t *testing.T) {
	is := issuerFor(t, algHS256)
	is.Audience = "tandem"
	r := newRig(t, is)
	for _, aud := range []any{"tandem", []string{"shop", "tandem"}} {
		r.good(t, sign(t, algHS256, keys().secret, nil, body(map[string]any{"aud": aud})))
	}
	for _, aud := range []any{nil, "shop", "Tandem", []string{}, []string{"shop"}, ""} {
		r.refused(t, sign(t, algHS256, keys().secret, nil, body(map[string]any{"aud": aud})), ReasonAudience)
	}
	r.refused(t, sign(t, algHS256, keys().secret, nil, body(map[string]any{"aud": []any{"tandem", 7}})), ReasonMalformed)
}

func TestJWT_rolesAreWhatTheIssuerMayGrant(t *testing.T) {
	const name = "https://example/role"
	r := newRig(t)
	for _, c := range []struct {
		roles []tandem.PrincipalRole
		claim string
		said  any
		want  tandem.PrincipalRole // empty: refused
	}{
		{nil, "", nil, tandem.Participant},
		{nil, "", "owner", tandem.Participant}, // not read
		{nil, name, nil, tandem.Participant},
		{nil, name, "participant", tandem.Participant},
		{nil, name, "operator", ""},
		{nil, name, "supervisor", ""},
		{nil, name, "agent", ""},
		{nil, name, "owner", ""},
		{nil, name, "Participant", ""},
		{[]tandem.PrincipalRole{tandem.Operator}, "", nil, tandem.Operator},
		{[]tandem.PrincipalRole{tandem.Operator}, name, "participant", ""},
		{[]tandem.PrincipalRole{tandem.Operator, tandem.Supervisor}, name, "supervisor", tandem.Supervisor},
		{[]tandem.PrincipalRole{tandem.Operator, tandem.Supervisor}, name, nil, ""},
		{[]tandem.PrincipalRole{tandem.Operator, tandem.Supervisor}, name, "owner", ""},
		{[]tandem.PrincipalRole{tandem.Operator, tandem.Participant}, name, nil, tandem.Participant},
		{[]tandem.PrincipalRole{tandem.Operator, tandem.Participant}, name, "operator", tandem.Operator},
	} {
		is := issuerFor(t, algHS256)
		is.Roles, is.Claims.Role = c.roles, c.claim
		r.trust(t, is)
		change := map[string]any{name: c.said, "role": "owner"}
		token := sign(t, algHS256, keys().secret, nil, body(change))
		if c.want == "" {
			r.refused(t, token, ReasonRole)
		} else if p := r.good(t, token); p.Role != c.want {
			t.Errorf("%v, claim %q says %v: role %v, want %v", c.roles, c.claim, c.said, p.Role, c.want)
		}
	}
}

// Case is kept for everybody but participants.
func TestJWT_lowersParticipantsOnly(t *testing.T) {
	is := issuerFor(t, algHS256)
	is.Roles, is.Claims.Role = []tandem.PrincipalRole{tandem.Participant, tandem.Operator}, "role"
	r := newRig(t, is)
	for role, want := range map[string]string{"participant": "änn", "operator": "ÄNN"} {
		if p := r.good(t, sign(t, algHS256, keys().secret, nil, body(map[string]any{"sub": "ÄNN", "role": role}))); p.Subject != want {
			t.Errorf("%s: subject %q, want %q", role, p.Subject, want)
		}
	}
}

func TestJWT_tenantsNeverMix(t *testing.T) {
	one, many := issuerFor(t, algHS256), issuerFor(t, algHS256)
	one.Tenant = "acme"
	many.Issuer, many.Tenant, many.Tenants, many.Claims.Tenant = "https://many.example", "", []string{"acme", "globex"}, "org"
	r := newRig(t, one, many)
	r.tenant(t, "acme", "initech")
	say := func(change map[string]any) string { return sign(t, algHS256, keys().secret, nil, body(change)) }

	if p := r.good(t, say(map[string]any{"tenant": "initech"})); p.Tenant != "acme" {
		t.Errorf("an issuer's only tenant is acme, the token got %s", p.Tenant)
	}
	if p := r.good(t, say(map[string]any{"iss": "https://many.example", "org": "acme", "tenant": "initech"})); p.Tenant != "acme" {
		t.Errorf("got %s", p.Tenant)
	}
	for _, org := range []any{"initech", "default", "ACME", nil, ""} {
		r.refused(t, say(map[string]any{"iss": "https://many.example", "org": org}), ReasonTenant)
	}
	// Named by the issuer, but it does not exist here; then a command makes it.
	globex := say(map[string]any{"iss": "https://many.example", "org": "globex"})
	r.refused(t, globex, ReasonTenant)
	r.another(t).tenant(t, "globex")
	if p := r.good(t, globex); p.Tenant != "globex" {
		t.Error(p.Tenant)
	}
	if p := r.good(t, say(map[string]any{"workflow": "acme:support"})); p.Workflow != "support" {
		t.Errorf("workflow %q: its own tenant's prefix goes", p.Workflow)
	}
	if p := r.good(t, say(map[string]any{"workflow": "globex:support"})); p.Workflow != "globex:support" {
		t.Errorf("workflow %q: another tenant's prefix is part of the name", p.Workflow)
	}
}

// A token without a jti is named by what was signed: two signatures of one text
// are one token, or a revocation could be dodged with the second.
func TestJWT_withoutJTIIsNamedByItsText(t *testing.T) {
	r := newRig(t, issuerFor(t, algES256))
	token := sign(t, algES256, keys().ec, nil, body(map[string]any{"jti": nil}))
	p := r.good(t, token)
	if !strings.HasPrefix(p.ID, "jwt_") {
		t.Fatalf("its id is %q", p.ID)
	}
	if other := r.good(t, sign(t, algES256, keys().ec, nil, body(map[string]any{"jti": nil, "x": 1}))); other.ID == p.ID {
		t.Error("two tokens with one id")
	}
	cut := strings.LastIndexByte(token, '.') + 1
	sig, err := base64.RawURLEncoding.DecodeString(token[cut:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).Sub(keys().ec.Params().N, new(big.Int).SetBytes(sig[32:])) // (r, n-s) is as good as (r, s)
	s.FillBytes(sig[32:])
	twin := token[:cut] + base64.RawURLEncoding.EncodeToString(sig)
	if got := r.good(t, twin); got.ID != p.ID {
		t.Errorf("the same text signed twice has the ids %s and %s", p.ID, got.ID)
	}
	if err := r.RevokeToken(context.Background(), "default", p.ID); err != nil {
		t.Fatal(err)
	}
	r.refused(t, token, ReasonRevoked)
	r.refused(t, twin, ReasonRevoked)
}
