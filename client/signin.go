package client

import (
	"context"
	"net/http"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A User is who somebody is.
type User struct {
	ID        string               `json:"id"` // the subject: AdminID in conversations
	Username  string               `json:"username"`
	Email     string               `json:"email"`
	Role      tandem.PrincipalRole `json:"role"`
	Name      string               `json:"name"` // what others see
	Tenant    string               `json:"tenant"`
	Workflows []string             `json:"workflows"` // none: all of the tenant
}

// Login is what somebody signs in with.
type Login struct {
	Username string `json:"username"` // or an e-mail address
	Password string `json:"password"`
	Tenant   string `json:"tenant,omitempty"` // empty: the server's default
}

// SignedIn is what signing in gives.
type SignedIn struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expiresAt"`
	User    User      `json:"user"`
}

// Login signs an account in; give the token to [Client.With]. It needs no
// credential. Kinds of errors: [tandem.Unauthorized], without a word on what was
// wrong; [tandem.TooMany] after five failures a minute.
func (c *Client) Login(ctx context.Context, l Login) (SignedIn, error) {
	sent, err := encode(l)
	if err != nil {
		return SignedIn{}, err
	}
	var in SignedIn
	return in, c.askFor(ctx, call{method: http.MethodPost, url: c.url("/api/auth/login", nil), body: sent}, &in)
}

// Logout revokes the client's token, and the tickets made with it: within a
// second everything opened with them ends.
func (c *Client) Logout(ctx context.Context) error {
	_, _, err := c.do(ctx, call{method: http.MethodPost, url: c.url("/api/auth/logout", nil), once: true})
	return err
}

// Me tells whose the client's credential is.
func (c *Client) Me(ctx context.Context) (User, error) {
	var got struct{ User User }
	return got.User, c.askFor(ctx, call{method: http.MethodGet, url: c.url("/api/auth/me", nil)}, &got)
}

// With is a client of the same server, under the same options, with another
// credential.
func (c *Client) With(token string) *Client {
	other := *c
	other.token = token
	return &other
}
