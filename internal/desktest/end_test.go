package desktest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// The streams of a scene: ann's, who is a participant, those of maya, who holds
// ann's conversation, and an engine's.
const (
	annsEvents       = "events"
	annsSession      = "session"
	annsChat         = "chat"
	annsConversation = "the participant's conversation"
	conversation     = "conversation"
	board            = "board"
	watching         = "board with watch"
	feed             = "feed"
)

// A scene is a server with a stream of each kind.
type scene struct {
	x       *desktest.Tandem
	other   *auth.Auth   // on the same data folder, as a command is
	folder  *store.Store // of other
	id      string       // ann's conversation
	tokens  map[string]auth.Token
	key     auth.Key
	streams map[string]*stream
	expires time.Time
}

// An ending is how a stream ends: its last event and what that says, and the code
// that a socket is closed with; or that it says this and goes on.
type ending struct {
	event, text string
	code        int
	goesOn      bool
}

// The endings that are the same for several reasons.
func endings(reason, code, sentence string) map[string]ending {
	return map[string]ending{
		annsEvents: {event: "disconnected", text: `"reason":"` + reason + `"`}, annsSession: {event: "disconnected", text: `"reason":"` + reason + `"`},
		annsChat: {event: "error", text: `"code":"` + code + `"`, code: 4401}, annsConversation: {event: "error", text: sentence},
		conversation: {event: "error", text: sentence}, board: {event: "error", text: sentence}, watching: {event: "error", text: sentence},
		feed: {event: "disconnected", text: `"reason":"` + reason + `"`},
	}
}

const denied = "Access denied. You don't have permission to view this conversation."

// What ends streams, and how. A stream that is not named goes on.
var streamsEnd = []struct {
	cause string
	does  func(s *scene, by *auth.Auth) error // by: of the server, or of a command on the same folder
	alone bool                                // nobody but the server can do it
	how   map[string]ending
}{
	{cause: "expired", alone: true, how: endings(desk.EndExpired, "token_expired", "Invalid or expired token"), does: func(*scene, *auth.Auth) error { return nil }},
	{cause: "token revoked", how: endings("revoked", "token_revoked", "Token has been revoked. Please login again."), does: func(s *scene, by *auth.Auth) error {
		for _, token := range s.tokens {
			if err := by.RevokeToken(s.x.T.Context(), "default", token.ID); err != nil {
				return err
			}
		}
		return by.RevokeKey(s.x.T.Context(), "default", s.key.ID)
	}},
	{cause: "all of a subject revoked", how: without(feed, endings("revoked", "token_revoked", "Token has been revoked. Please login again.")), does: func(s *scene, by *auth.Auth) error {
		return each(func(name string) error { return by.RevokeSubject(s.x.T.Context(), "default", name) })
	}},
	{cause: "account disabled", how: without(feed, endings("revoked", "token_revoked", "Token has been revoked. Please login again.")), does: func(s *scene, by *auth.Auth) error {
		yes := true
		return each(func(name string) error {
			_, err := by.ChangeAccount(s.x.T.Context(), "default", name, auth.AccountChange{Disabled: &yes})
			return err
		})
	}},
	{cause: "role changed", how: without(feed, endings("revoked", "token_revoked", "Token has been revoked. Please login again.")), does: func(s *scene, by *auth.Auth) error {
		role := tandem.Supervisor
		return each(func(name string) error {
			_, err := by.ChangeAccount(s.x.T.Context(), "default", name, auth.AccountChange{Role: &role})
			return err
		})
	}},
	{cause: "transferred away", alone: true, how: map[string]ending{
		conversation: {event: "error", text: denied},
		board:        {event: "removed", text: "conversation_id", goesOn: true}, watching: {event: "error", text: denied, goesOn: true},
	}, does: func(s *scene, _ *auth.Auth) error {
		_, err := s.x.Desk.Takeover(s.x.T.Context(), person("lee", tandem.Supervisor), s.id, true)
		return err
	}},
	{cause: "session disconnected", alone: true, how: map[string]ending{annsSession: {event: "disconnected", text: `"reason":"session disconnected"`}}, does: func(s *scene, _ *auth.Auth) error {
		return s.x.Desk.Disconnect(s.x.T.Context(), person("ann", tandem.Participant), "session-of-ann")
	}},
	{cause: "thread erased", how: map[string]ending{
		annsEvents: {event: "disconnected", text: `"reason":"thread deleted"`}, annsChat: {code: 1000},
		annsConversation: {event: "error", text: "' not found"}, conversation: {event: "error", text: "' not found"},
		board: {event: "removed", text: "conversation_id", goesOn: true}, watching: {event: "error", text: "' not found", goesOn: true},
	}, does: func(s *scene, by *auth.Auth) error {
		owner, a := person("boss", tandem.Owner), desktest.Address("ann")
		if by == s.x.Auth {
			return s.x.Desk.Erase(s.x.T.Context(), owner, a)
		}
		_, err := s.folder.Append(s.x.T.Context(), desk.Erasing(owner, a, time.Now()))
		return err
	}},
	{cause: "thread deleted by its participant", alone: true, how: map[string]ending{
		annsEvents: {event: "disconnected", text: `"reason":"thread deleted"`}, annsChat: {code: 1000},
		annsConversation: {event: "ended or error", text: "conversation_id"}, // it has ended, and there is none for ann any more
		conversation:     {event: "ended", text: "Conversation has ended"},
		board:            {event: "upsert", text: "ENDED", goesOn: true}, watching: {event: "ended", text: "Conversation has ended", goesOn: true},
	}, does: func(s *scene, _ *auth.Auth) error {
		return s.x.Desk.Delete(s.x.T.Context(), person("ann", tandem.Participant), desktest.Address("ann"))
	}},
}

func without(face string, m map[string]ending) map[string]ending {
	delete(m, face)
	return m
}

func each(do func(name string) error) error {
	for _, name := range []string{"ann", "maya"} {
		if err := do(name); err != nil {
			return err
		}
	}
	return nil
}

// Open streams of every face end within a second of what takes them away, with the
// documented last event, also if a command on the same data folder did it; the
// others go on.
func TestStreams_end(t *testing.T) {
	for _, c := range streamsEnd {
		t.Run(c.cause, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.cause == "expired")
			ends(t, s, c.how, func() error { return c.does(s, s.x.Auth) })
		})
		if !c.alone {
			t.Run(c.cause+" by a command", func(t *testing.T) {
				t.Parallel()
				s := newScene(t, false)
				ends(t, s, c.how, func() error { return c.does(s, s.other) })
			})
		}
	}
}

// newScene opens all streams, which begin with credentials that end soon, or not.
func newScene(t *testing.T, soon bool) *scene {
	s := &scene{x: desktest.Start(t, desktest.Options{}), tokens: map[string]auth.Token{}, streams: map[string]*stream{}}
	var err error
	if s.folder, err = store.Open(t.Context(), store.Options{Dir: s.x.Dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.folder.Close() })
	if s.other, err = auth.New(auth.Options{Store: s.folder}); err != nil {
		t.Fatal(err)
	}
	ttl := time.Hour
	if soon {
		ttl = time.Second
	}
	s.expires = time.Now().Add(ttl)
	for name, role := range map[string]tandem.PrincipalRole{"ann": tandem.Participant, "maya": tandem.Operator} {
		if _, err := s.x.Auth.CreateAccount(t.Context(), auth.AccountRequest{Tenant: "default", Username: name, Role: role, Password: "correct horse battery"}); err != nil {
			t.Fatal(err)
		}
		if s.tokens[name], err = s.x.Auth.Mint(t.Context(), auth.MintRequest{Tenant: "default", Subject: name, Role: role, TTL: ttl}); err != nil {
			t.Fatal(err)
		}
	}
	var secret auth.Secret
	if secret, s.key, err = s.x.Auth.CreateKey(t.Context(), auth.KeyRequest{Tenant: "default", Role: tandem.Agent, TTL: ttl}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.x.Desk.Post(t.Context(), person("ann", tandem.Participant), desk.Post{Address: desktest.Address("ann"), Type: tandem.Chat, Text: "help"}); err != nil {
		t.Fatal(err)
	}
	active, err := s.x.Store.Conversations(t.Context(), store.ConversationFilter{Tenant: "default"})
	if err != nil || len(active) != 1 {
		t.Fatal(active, err)
	}
	s.id = active[0].ID
	if _, err := s.x.Desk.Takeover(t.Context(), person("maya", tandem.Operator), s.id, false); err != nil {
		t.Fatal(err)
	}
	s.open(secret.Reveal())
	return s
}

func (s *scene) open(key string) {
	s.x.T.Helper()
	ann, maya := s.tokens["ann"].Token.Reveal(), s.tokens["maya"].Token.Reveal()
	for name, o := range map[string][2]string{
		annsEvents:       {ann, "/api/user/sse/events?workflow=support&participantId=ann"},
		annsSession:      {ann, "/sse/connect/session-of-ann"},
		annsChat:         {ann, "/ws"},
		annsConversation: {ann, "/api/conversation/" + s.id + "/stream"},
		conversation:     {maya, "/api/conversation/" + s.id + "/stream"},
		board:            {maya, "/api/conversations/stream"},
		watching:         {maya, "/api/conversations/stream?watch=" + s.id},
		feed:             {key, "/api/agent/events?workflow=support"},
	} {
		s.streams[name] = opens(s.x, o[0], o[1])
		if st := s.streams[name].status; st != http.StatusOK && st != http.StatusSwitchingProtocols {
			s.x.T.Fatalf("%s: %d", name, st)
		}
	}
	s.streams[watching].sees("initial", s.id)
}

// ends brings it about and looks how each stream ends.
func ends(t *testing.T, s *scene, how map[string]ending, cause func() error) {
	began := s.expires.Add(desk.Leeway)
	if time.Until(began) > time.Minute {
		began = time.Now()
	}
	if err := cause(); err != nil {
		t.Fatal(err)
	}
	for name, st := range s.streams {
		want, named := how[name]
		if !named {
			continue
		}
		t.Run(name, func(t *testing.T) {
			st.t = t
			if want.goesOn {
				st.sees(want.event, want.text)
				return
			}
			last := st.ended()
			if want.event != "" && (!strings.Contains(want.event, last.name) || !strings.Contains(last.data, want.text)) || want.code != 0 && st.code != want.code {
				t.Errorf("it ends with %s %s and code %d, want %+v\nafter %s", last.name, last.data, st.code, want, st.body())
			}
			// A second is promised; a busy machine has another one.
			if took := st.over.Sub(began); took > 2*time.Second || took < -time.Second {
				t.Errorf("it ends after %v", took)
			}
		})
	}
	for name, st := range s.streams {
		if want, named := how[name]; named && !want.goesOn {
			continue
		}
		select {
		case <-st.done:
			t.Errorf("%s ends, and has no reason to\nafter %s", name, st.body())
		default:
		}
	}
}
