package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A NewSession is a session that a back end makes before its page comes. It needs
// a credential of role agent.
type NewSession struct {
	User       string
	ID         string        // empty: the server makes one
	Tenant     string        // empty: the credential's
	TTL        time.Duration // until it ends, in whole seconds; 0: the server's default
	Capability bool          // the id is itself the credential of its page; an ID then has 16 to 128 characters
}

// Session is one that was made.
type Session struct {
	ID      string    `json:"sessionId"`
	User    string    `json:"userId"`
	Expires time.Time `json:"expiresAt"`
}

// MakeSession makes a session. It is tried again while the server cannot answer;
// an ID that is taken is refused with a [tandem.Conflict], so that one of your own may
// have been made by an earlier try.
func (c *Client) MakeSession(ctx context.Context, n NewSession) (made Session, err error) {
	body := map[string]any{"userId": n.User, "capability": n.Capability}
	if n.ID != "" {
		body["sessionId"] = n.ID
	}
	if n.Tenant != "" {
		body["tenantId"] = n.Tenant
	}
	if n.TTL > 0 {
		body["ttlSeconds"] = int64(n.TTL.Seconds())
	}
	sent, err := encode(body)
	if err != nil {
		return made, err
	}
	got, _, err := c.do(ctx, call{method: http.MethodPost, url: c.url("/api/sessions", nil), body: sent})
	if err != nil {
		return made, err
	}
	return made, decode(got, &made)
}

// A Notice is what a back end shows on a user's pages. It needs a credential of
// role agent or operator.
type Notice struct {
	User    string // whose sessions; may be empty if Session is set
	Session string // only this one
	Tenant  string // empty: the credential's
	Event   string // what it is, such as PAYMENT; empty: MESSAGE
	Message any    // a text, or what is a JSON object
	Key     string // as in [Post]
}

// Send tells a user's sessions something and returns how many they are, connected
// or not. If there is none it is kept for ten minutes. It is repeated as
// [Client.Post] is.
func (c *Client) Send(ctx context.Context, n Notice) (sessions int, err error) {
	body := map[string]any{"message": n.Message}
	for name, value := range map[string]string{"userId": n.User, "sessionId": n.Session, "tenantId": n.Tenant, "event": n.Event} {
		if value != "" {
			body[name] = value
		}
	}
	sent, err := encode(body)
	if err != nil {
		return 0, err
	}
	got, _, err := c.do(ctx, call{method: http.MethodPost, url: c.url("/sse/send", nil), body: sent, key: keyOr(n.Key)})
	if err != nil {
		return 0, err
	}
	var told struct{ Message string }
	if err := decode(got, &told); err != nil {
		return 0, err
	}
	count, _, _ := strings.Cut(strings.TrimPrefix(told.Message, "Message sent to "), " ")
	if sessions, err = strconv.Atoi(count); err != nil {
		return 0, tandem.Errorf(tandem.Internal, "the server's answer is not what it should be: %w", err)
	}
	return sessions, nil
}

// Disconnect ends a session and all its connections. [tandem.NotFound]: there is
// none, perhaps since an earlier try ended it.
func (c *Client) Disconnect(ctx context.Context, session string) error {
	_, _, err := c.do(ctx, call{method: http.MethodDelete, url: c.sessionURL("/sse/disconnect/", session, nil)})
	return err
}

// sessionURL is the address of a route that ends with a session's id.
func (c *Client) sessionURL(path, session string, query map[string]string) string {
	return c.url(path+url.PathEscape(session), query)
}

// sessionEvent reads what a session was told.
func sessionEvent(data []byte, cursor string) (Event, error) {
	var m struct {
		Event     string          `json:"event"`
		Message   json.RawMessage `json:"message"`
		Timestamp time.Time       `json:"timestamp"`
	}
	err := decode(data, &m)
	e := Event{Type: Told, Name: m.Event, Cursor: cursor, Data: m.Message, At: m.Timestamp}
	_ = json.Unmarshal(m.Message, &e.Text) // an object is no text
	return e, err
}
