package client_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/client"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// A site is a whole server with those who work there.
type site struct {
	*desktest.Tandem
	t             *testing.T
	gateway       *client.Client // a back end
	ann           *client.Client // a participant
	maya, ravi    *client.Client // operators
	lea           *client.Client // a supervisor
	withoutBearer *client.Client
}

const password = "plum-otter-42"

func build(t *testing.T, o desktest.Options) *site {
	t.Helper()
	h := &site{Tandem: desktest.Start(t, o), t: t}
	h.withoutBearer = h.client("")
	h.gateway, h.ann = h.client(h.Key(tandem.Agent)), h.client(h.Token("ann", tandem.Participant))
	h.maya, h.ravi = h.account("maya", "Maya", tandem.Operator), h.account("ravi", "Ravi", tandem.Operator)
	h.lea = h.account("lea", "Lea", tandem.Supervisor)
	return h
}

func (h *site) client(token string) *client.Client {
	h.t.Helper()
	c, err := client.New(h.URL, client.Options{Token: token, HTTPClient: h.Client})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// account makes one and signs it in.
func (h *site) account(username, name string, role tandem.PrincipalRole) *client.Client {
	h.t.Helper()
	if _, err := h.Auth.CreateAccount(h.t.Context(), auth.AccountRequest{
		Tenant: "default", Username: username, Name: name, Role: role, Password: password,
	}); err != nil {
		h.t.Fatal(err)
	}
	in, err := h.withoutBearer.Login(h.t.Context(), client.Login{Username: username, Password: password})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.withoutBearer.With(in.Token)
}

// done fails the test if one of the calls before it did.
func done[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused checks that an error is a refusal of this kind, and returns it.
func refused(t *testing.T, err error, kind tandem.ErrorKind) *tandem.Error {
	t.Helper()
	var e *tandem.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want kind %d", err, kind)
	}
	return e
}

// kolkata is where the published document's clock stands.
var kolkata = time.FixedZone("", 5*3600+1800)

const documentID = "conv_919325590143_20251003_115804"

// open opens the published document's conversation with its two messages.
func (h *site) open() client.Row {
	h.t.Helper()
	at := time.Date(2025, 10, 3, 11, 58, 4, 0, kolkata)
	row, opened, err := h.gateway.OpenConversation(h.t.Context(), client.Open{
		Workflow: "emergency", MobileNo: "+919325590143", Urgency: tandem.UrgencyCritical, Medium: "Voice", Timestamp: at,
	})
	if err != nil || !opened {
		h.t.Fatal(opened, err)
	}
	done[client.SaidIn](h.t)(h.gateway.Say(h.t.Context(), client.Say{Conversation: row.ID, Messages: []client.Saying{
		{Role: tandem.RoleUser, Text: "My friend is falling from a floor, what should I do?", Timestamp: at},
		{
			Role: tandem.RoleAssistant, Text: "Call for help now. Try to break their fall if safe. Clear the area.", Timestamp: at,
			Sources: "Emergency Procedures Manual, OSHA Safety Standards",
		},
	}}))
	return row
}

func TestConversation_isTheDocuments(t *testing.T) {
	h := build(t, desktest.Options{})
	row := h.open()
	got := done[client.Transcript](t)(h.maya.Conversation(t.Context(), row.CallID))
	at := time.Date(2025, 10, 3, 11, 58, 4, 0, kolkata)
	want := client.Transcript{
		Row: client.Row{
			ID: documentID, CallID: "call_919325590143_20251003_115804", Participant: "worker_919325590143", MobileNo: "+919325590143",
			Urgency: tandem.UrgencyCritical, Status: tandem.StatusActive, Medium: "Voice", Timestamp: at,
		},
		Messages: []client.Entry{
			{ID: "msg_919325590143_20251003_115804_0001", Role: tandem.RoleUser, Text: "My friend is falling from a floor, what should I do?", Timestamp: at},
			{
				ID: "msg_919325590143_20251003_115804_0002", Role: tandem.RoleAssistant, Timestamp: at,
				Text: "Call for help now. Try to break their fall if safe. Clear the area.", Sources: "Emergency Procedures Manual, OSHA Safety Standards",
			},
		},
		Total: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, east := got.Timestamp.Zone(); east != 5*3600+1800 {
		t.Errorf("the offset is %d", east)
	}
	again, opened, err := h.gateway.OpenConversation(t.Context(), client.Open{Workflow: "emergency", MobileNo: "+919325590143"})
	if err != nil || opened || again.ID != documentID {
		t.Errorf("opened again: %+v %v %v", again, opened, err)
	}
	_, err = h.maya.Conversation(t.Context(), "no/such one?")
	if e := refused(t, err, tandem.NotFound); e.Message != "Conversation 'no/such one?' not found" {
		t.Error(e)
	}
	_, err = h.ann.Conversation(t.Context(), documentID)
	refused(t, err, tandem.Forbidden)
}

// What an operator does with a conversation and with what its agent goes on to say.
func TestControl_takesOverAndAnswers(t *testing.T) {
	h, ctx := build(t, desktest.Options{}), t.Context()
	row := h.open()
	id := row.ID
	if row.Mode != tandem.ModeWaiting || row.QueuePlace != 1 || row.Epoch != 0 || row.WaitingSince.IsZero() {
		t.Errorf("opened: %+v", row)
	}
	say := func(c *client.Client, text string) (client.SaidIn, error) {
		return c.Say(ctx, client.Say{Conversation: id, Messages: []client.Saying{{Text: text}}})
	}
	_, err := say(h.maya, "I am here.")
	if e := refused(t, err, tandem.Conflict); e.Message != "Take the conversation over first." {
		t.Error(e)
	}
	if n := done[client.Entry](t)(h.ravi.Note(ctx, id, "Sounds bad.")); n.Audience != "operators" || n.Name != "Ravi" {
		t.Errorf("the note: %+v", n)
	}
	row = done[client.Row](t)(h.maya.Takeover(ctx, id, false))
	if row.AdminID != "maya" || row.Holder != "Maya" || row.Mode != tandem.ModeOperator || row.Epoch != 1 {
		t.Errorf("taken over: %+v", row)
	}
	_, err = h.ravi.Takeover(ctx, id, false)
	if e := refused(t, err, tandem.Conflict); e.Message != "Maya holds this conversation." {
		t.Error(e)
	}
	if said := done[client.SaidIn](t)(say(h.maya, "I am here.")); said.Draft || len(said.Messages) != 1 || said.Messages[0].Role != tandem.RoleOperator {
		t.Errorf("said: %+v", said)
	}
	draft := func(text string) string {
		said := done[client.SaidIn](t)(say(h.gateway, text))
		if !said.Draft {
			t.Errorf("%s: %+v", text, said)
		}
		return said.Messages[0].ID
	}
	first, second := draft("Please hold."), draft("Goodbye.")
	_, err = h.gateway.Say(ctx, client.Say{Conversation: id, OnHeld: "refuse", Messages: []client.Saying{{Text: "x"}}})
	if e := refused(t, err, tandem.Held); e.Epoch != 1 {
		t.Errorf("%+v", e)
	}
	if sent := done[client.Entry](t)(h.maya.SendDraft(ctx, id, first, "Please stay with me.")); sent.Text != "Please stay with me." || sent.Role != tandem.RoleOperator {
		t.Errorf("sent: %+v", sent)
	}
	_, err = h.maya.SendDraft(ctx, id, first, "")
	refused(t, err, tandem.Conflict)
	if err := h.maya.DropDraft(ctx, id, second); err != nil {
		t.Error(err)
	}
	if e := done[client.Entry](t)(h.maya.Steer(ctx, id, "Be short.")); e.Audience != "agent" {
		t.Errorf("steered: %+v", e)
	}
	whole := done[client.Transcript](t)(h.maya.Conversation(ctx, id))
	if whole.Total != 4 || len(whole.Notes) != 2 || len(whole.Drafts) != 0 || whole.AdminID != "maya" {
		t.Errorf("the transcript: %+v", whole)
	}
	if err := errors.Join(h.maya.Typing(ctx, id, false), h.maya.Typing(ctx, id, true), h.maya.Read(ctx, id, whole.Messages[1].ID, false)); err != nil {
		t.Error(err)
	}
}

// From hand to hand, to its end.
func TestControl_handsOnAndEnds(t *testing.T) {
	h, ctx := build(t, desktest.Options{}), t.Context()
	id := h.open().ID
	row := done[client.Row](t)(h.maya.Takeover(ctx, id, false))
	name, urgent := "Asha", tandem.UrgencyUrgent
	if row = done[client.Row](t)(h.maya.Change(ctx, id, client.Change{Name: &name, Urgency: &urgent})); row.Name != name || row.Urgency != urgent {
		t.Errorf("changed: %+v", row)
	}
	_, err := h.maya.Transfer(ctx, id, "nobody")
	refused(t, err, tandem.NotFound)
	if row = done[client.Row](t)(h.maya.Transfer(ctx, id, "ravi")); row.AdminID != "ravi" || row.Epoch != 2 {
		t.Errorf("transferred: %+v", row)
	}
	if row = done[client.Row](t)(h.lea.Takeover(ctx, id, true)); row.Holder != "Lea" {
		t.Errorf("by force: %+v", row)
	}
	if row = done[client.Row](t)(h.lea.Release(ctx, id, "queue")); row.Mode != tandem.ModeWaiting || row.AdminID != "" {
		t.Errorf("released: %+v", row)
	}
	if said := done[client.SaidIn](t)(h.ravi.Say(ctx, client.Say{Conversation: id, Takeover: true, Messages: []client.Saying{{Text: "Ravi here."}}})); said.Messages[0].Name != "Ravi" {
		t.Errorf("taken over and said: %+v", said)
	}
	row = done[client.Row](t)(h.gateway.End(ctx, id, "call_ended"))
	if row.Status != tandem.StatusEnded || row.EndReason != "call_ended" || row.EndedAt.IsZero() {
		t.Errorf("ended: %+v", row)
	}
	_, err = h.ravi.Say(ctx, client.Say{Conversation: id, Messages: []client.Saying{{Text: "Hello?"}}})
	refused(t, err, tandem.Conflict)
}

func TestConversations_pagesThroughAll(t *testing.T) {
	h, ctx := build(t, desktest.Options{}), t.Context()
	for _, who := range []string{"ann", "bob", "eve"} {
		if _, _, err := h.gateway.OpenConversation(ctx, client.Open{Workflow: "support", Participant: who, Name: strings.ToUpper(who)}); err != nil {
			t.Fatal(err)
		}
	}
	h.open()
	var names []string
	for l := (client.List{Mode: tandem.ModeWaiting, Status: tandem.StatusActive, Limit: 3}); ; {
		page, next, err := h.maya.Conversations(ctx, l)
		if err != nil || len(page) > 3 {
			t.Fatal(len(page), err)
		}
		for _, row := range page {
			names = append(names, row.Participant)
		}
		if l.Cursor = next; next == "" {
			break
		}
	}
	if want := []string{"worker_919325590143", "ann", "bob", "eve"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	page, _, err := h.maya.Conversations(ctx, client.List{Urgency: tandem.UrgencyCritical, Workflow: "emergency"})
	if err != nil || len(page) != 1 || page[0].LastMessage == "" || page[0].LastRole != tandem.RoleAssistant || page[0].LastAt.IsZero() {
		t.Errorf("%+v %v", page, err)
	}
	_, _, err = h.maya.Conversations(ctx, client.List{Mode: "asleep"})
	refused(t, err, tandem.Invalid)
}

func TestLogin_meAndLogout(t *testing.T) {
	h, ctx := build(t, desktest.Options{}), t.Context()
	_, err := h.withoutBearer.Login(ctx, client.Login{Username: "maya", Password: "plum-otter-43"})
	if e := refused(t, err, tandem.Unauthorized); e.Message != "Invalid username or password" {
		t.Error(e)
	}
	in := done[client.SignedIn](t)(h.withoutBearer.Login(ctx, client.Login{Username: "Maya", Password: password, Tenant: "default"}))
	want := client.User{ID: "maya", Username: "maya", Role: tandem.Operator, Name: "Maya", Tenant: "default", Workflows: []string{}}
	if diff := cmp.Diff(want, in.User); diff != "" || in.Token == "" || time.Until(in.Expires) < time.Hour {
		t.Errorf("%+v %s", in, diff)
	}
	me := h.withoutBearer.With(in.Token)
	if diff := cmp.Diff(want, done[client.User](t)(me.Me(ctx))); diff != "" {
		t.Error(diff)
	}
	if err := me.Logout(ctx); err != nil {
		t.Error(err)
	}
	_, err = me.Me(ctx)
	refused(t, err, tandem.Unauthorized)
}

// What may be done once only is not tried a second time when its answer was lost;
// what was refused for now is. Broken once by leaving once out.
func TestControl_isNotRepeatedBlindly(t *testing.T) {
	release := func(t *testing.T, c *client.Client) {
		if _, err := c.Release(t.Context(), "conv 1/2", ""); tandem.KindOf(err) != tandem.Unavailable {
			t.Error(err)
		}
	}
	got := inBubble(t, client.Options{}, []http.HandlerFunc{answer(503, "", "Retry-After", "1"), dropped}, release)
	want := asked{"POST /base/api/conversation/conv%201%2F2/release", "", "Bearer tok", `{"to":""}`}
	if diff := cmp.Diff([]asked{want, want}, got); diff != "" {
		t.Error(diff)
	}
	if got := inBubble(t, client.Options{}, []http.HandlerFunc{cut}, release); len(got) != 1 {
		t.Errorf("asked %d times", len(got))
	}
	if got := inBubble(t, client.Options{}, []http.HandlerFunc{dropped, answer(200, `{"success":true}`)}, func(t *testing.T, c *client.Client) {
		if err := c.Read(t.Context(), "c", "m", false); err != nil {
			t.Error(err)
		}
	}); len(got) != 2 {
		t.Errorf("asked %d times", len(got))
	}
}
