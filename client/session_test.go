package client_test

import (
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// A back end and its page, over a restart of the server. Seen to fail by a path in
// which an id with a slash is two, and by a stream that loses its first place.
func TestFollow_aSessionOverARestart(t *testing.T) {
	dir := t.TempDir()
	x := desktest.Start(t, desktest.Options{Dir: dir})
	backEnd, err := client.New(x.URL, client.Options{Token: x.Key(tandem.Agent), RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	made, err := backEnd.MakeSession(t.Context(), client.NewSession{User: "Ann", ID: "pay/0123 456789?=", TTL: time.Minute, Capability: true})
	if err != nil || made.User != "Ann" || time.Until(made.Expires) > time.Minute {
		t.Fatal(made, err)
	}
	if _, err := backEnd.MakeSession(t.Context(), client.NewSession{User: "Ann", ID: made.ID}); tandem.KindOf(err) != tandem.Held {
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
	page, err := client.New(x.URL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	place := ""
	for e, err := range page.Follow(t.Context(), client.Follow{Session: made.ID}) {
		if err != nil || e.Type != client.Told || e.Name != "MESSAGE" || e.Text != "one" || time.Since(e.At).Abs() > time.Minute {
			t.Fatalf("%+v %v", e, err)
		}
		place = e.Cursor
		break
	}
	x.Stop()
	x = desktest.Start(t, desktest.Options{Dir: dir})
	if backEnd, err = client.New(x.URL, client.Options{Token: x.Key(tandem.Agent)}); err != nil {
		t.Fatal(err)
	}
	if page, err = client.New(x.URL, client.Options{}); err != nil {
		t.Fatal(err)
	}
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
	if err := page.Disconnect(t.Context(), made.ID); tandem.KindOf(err) != tandem.Unauthorized && tandem.KindOf(err) != tandem.NotFound || err == nil {
		t.Errorf("again: %v", err)
	}
	if _, err := backEnd.Send(t.Context(), client.Notice{Session: "nothing", Message: "x"}); tandem.KindOf(err) != tandem.NotFound {
		t.Errorf("to nobody: %v", err)
	}
	stranger, err := client.New(x.URL, client.Options{Token: x.Mint(auth.MintRequest{Tenant: "default", Subject: "eve", Role: tandem.Participant, TTL: time.Hour})})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range stranger.Follow(t.Context(), client.Follow{Session: made.ID}) {
		if tandem.KindOf(err) != tandem.Unauthorized {
			t.Errorf("somebody else: %v", err)
		}
	}
}
