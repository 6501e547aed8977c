package client_test

import (
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// of is a client of a running server.
func of(t *testing.T, x *desktest.Tandem, token string) *client.Client {
	t.Helper()
	c, err := client.New(x.URL, client.Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A back end and its page, over a restart of the server. Seen to fail by a path in
// which an id with a slash is two, and by a stream that loses its first place.
func TestFollow_aSessionOverARestart(t *testing.T) {
	dir := t.TempDir()
	x := desktest.Start(t, desktest.Options{Dir: dir})
	backEnd := of(t, x, x.Key(tandem.Agent))
	made, err := backEnd.MakeSession(t.Context(), client.NewSession{User: "Ann", ID: "pay/0123 456789?=", TTL: time.Minute, Capability: true})
	if err != nil || made.User != "Ann" || time.Until(made.Expires) > time.Minute {
		t.Fatal(made, err)
	}
	if _, err := backEnd.MakeSession(t.Context(), client.NewSession{User: "Ann", ID: made.ID}); tandem.KindOf(err) != tandem.Conflict {
		t.Errorf("the same id again: %v", err)
	}
	send := func(n client.Notice, want int) {
		t.Helper()
		if got, err := backEnd.Send(t.Context(), n); err != nil || got != want {
			t.Fatal(got, err)
		}
	}
	send(client.Notice{User: "ann", Message: "one", Key: "k-1"}, 1)
	send(client.Notice{User: "ann", Message: "one", Key: "k-1"}, 1)
	send(client.Notice{User: "bob", Message: "kept"}, 0)
	place := ""
	for e, err := range of(t, x, "").Follow(t.Context(), client.Follow{Session: made.ID}) {
		if err != nil || e.Type != client.Told || e.Name != "MESSAGE" || e.Text != "one" || time.Since(e.At).Abs() > time.Minute {
			t.Fatalf("%+v %v", e, err)
		}
		place = e.Cursor
		break
	}
	x.Stop()
	x = desktest.Start(t, desktest.Options{Dir: dir})
	backEnd = of(t, x, x.Key(tandem.Agent))
	page := of(t, x, "")
	send(client.Notice{Session: made.ID, Event: "PAYMENT", Message: map[string]any{"state": "paid"}}, 1)
	told := 0
	for e, err := range page.Follow(t.Context(), client.Follow{Session: made.ID, After: place}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case client.Told:
			if told++; e.Name != "PAYMENT" || string(e.Data) != `{"state":"paid"}` || e.Text != "" {
				t.Errorf("%+v", e)
			}
			if err := page.Disconnect(t.Context(), made.ID); err != nil {
				t.Error(err)
			}
		case client.Disconnected:
			if e.Reason != "session disconnected" {
				t.Errorf("%+v", e)
			}
		default:
			t.Errorf("%+v", e)
		}
	} // it ends without an error: the session is over
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

func TestSessions_areRefusedAsDocumented(t *testing.T) {
	x := desktest.Start(t, desktest.Options{})
	backEnd, ann := of(t, x, x.Key(tandem.Agent)), of(t, x, x.Token("ann", tandem.Participant))
	made, err := backEnd.MakeSession(t.Context(), client.NewSession{User: "bob"})
	if err != nil || made.ID == "" {
		t.Fatal(made, err)
	}
	send := func(n client.Notice) error {
		_, err := backEnd.Send(t.Context(), n)
		return err
	}
	follow := func() (err error) {
		for _, err = range ann.Follow(t.Context(), client.Follow{Session: made.ID}) {
		}
		return err
	}
	for name, c := range map[string]struct {
		err  error
		want tandem.ErrorKind
	}{
		"to a session that is not there": {send(client.Notice{Session: "nothing", Message: "x"}), tandem.NotFound},
		"to another user's":              {send(client.Notice{Session: made.ID, User: "ann", Message: "x"}), tandem.Conflict},
		"a list":                         {send(client.Notice{User: "ann", Message: []int{1}}), tandem.Invalid},
		"by a participant":               {func() error { _, err := ann.Send(t.Context(), client.Notice{User: "bob", Message: "x"}); return err }(), tandem.Forbidden},
		"somebody else's":                {follow(), tandem.Unauthorized},
		"ending somebody else's":         {ann.Disconnect(t.Context(), made.ID), tandem.Unauthorized},
		"ending none":                    {ann.Disconnect(t.Context(), "nothing"), tandem.NotFound},
	} {
		if c.err == nil || tandem.KindOf(c.err) != c.want {
			t.Errorf("%s: %v", name, c.err)
		}
	}
}
