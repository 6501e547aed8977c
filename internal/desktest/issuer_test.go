package desktest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// An open stream is looked at again without the claims of its token, so what
// tells its issuer must be kept apart. Seen to fail when it was read from them.
func TestStory_anIssuersTokenOpensAStream(t *testing.T) {
	secret := auth.Secret("0123456789abcdef0123456789abcdef")
	x := desktest.Start(t, desktest.Options{Issuers: []auth.Issuer{{Issuer: "https://login.example", Secret: secret, Tenant: "default"}}})
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "https://login.example", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.URL+"/api/user/sse/events?workflow=support&participantId=ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := x.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the stream is refused: %s", res.Status)
	}
	if err := x.Auth.SetIssuers(nil); err != nil { // nobody is trusted any more
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for err == nil { // until the stream ends
		_, err = res.Body.Read(buf)
	}
}
