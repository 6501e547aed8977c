package tandem_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// The bytes that docs/architecture.md states. If this test fails, every cursor
// that clients hold would be answered with a reset: do not change the numbers.
func TestChain_keepsItsBytes(t *testing.T) {
	a, err := tandem.NewAddress("default", "customer-support", "User-123")
	if err != nil {
		t.Fatal(err)
	}
	root := a.Root()
	e := tandem.Event{
		Seq: 1, Kind: tandem.KindMessage, Version: 1, ID: "msg_01",
		At: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), Audience: tandem.Operators,
		Body: []byte(`{"text":"héllo"}`),
		Meta: tandem.Meta{Principal: "user-123", Node: "not part of it", Traceparent: "nor this"},
	}
	h := e.Chain(root)
	for what, c := range map[string]struct{ got, want string }{
		"root":   {hex.EncodeToString(root[:]), "f96550e64c7f35267b83020e6724af82b9a04354fff95ad1ebac074b00879533"},
		"chain":  {hex.EncodeToString(h[:]), "8de8ff8ba9ecdd87d4138ae2bd5f0ed3e2fa4afdc6e0111eb1189105a6f2e811"},
		"start":  {a.Start().String(), "0-7fsvbzsm"},
		"thread": {a.ThreadID(), "thread_7fsvbzsmp42sm64daihgojfp"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", what, c.got, c.want)
		}
	}
	e.Meta.Node, e.Meta.Traceparent = "", ""
	if e.Chain(root) != h {
		t.Error("node or trace is part of the hash")
	}
	for what, change := range map[string]func(*tandem.Event){
		"seq": func(e *tandem.Event) { e.Seq++ }, "kind": func(e *tandem.Event) { e.Kind = "x" },
		"version": func(e *tandem.Event) { e.Version++ }, "id": func(e *tandem.Event) { e.ID += "x" },
		"at": func(e *tandem.Event) { e.At = e.At.Add(time.Microsecond) }, "audience": func(e *tandem.Event) { e.Audience = 0 },
		"principal": func(e *tandem.Event) { e.Meta.Principal = "x" }, "body": func(e *tandem.Event) { e.Body = []byte("{}") },
	} {
		changed := e
		change(&changed)
		if changed.Chain(root) == h {
			t.Errorf("%s is not part of the hash", what)
		}
	}
}

func TestNewAddress(t *testing.T) {
	long := strings.Repeat("x", tandem.MaxName)
	for _, c := range []struct {
		tenant, workflow, participant string
		want                          string // participant, or "" for a refusal
	}{
		{"default", "support", "Ann", "ann"},
		{"t-1.x_y", "Agent Name:Flow", "ÄNN@example.org", "änn@example.org"},
		{"default", long, long, long},
		{"default", long + "x", "ann", ""},
		{"default", "support", long + "x", ""},
		{"default", "$session", "ann", ""},
		{"default", "", "ann", ""},
		{"default", " ", "ann", ""},
		{"default", "support", "\u00a0", ""},
		{"default", "support", "", ""},
		{"default", "support", "a\nb", ""},
		{"default", "sup\rport", "ann", ""},
		{"default", "support", "a\x00b", ""},
		{"default", "support", "a\u2028b", ""},
		{"default", "support", "a\xffb", ""},
		{"Default", "support", "ann", ""},
		{"-default", "support", "ann", ""},
		{"", "support", "ann", ""},
		{strings.Repeat("t", 63), "support", "ann", "ann"},
		{strings.Repeat("t", 64), "support", "ann", ""},
	} {
		a, err := tandem.NewAddress(c.tenant, c.workflow, c.participant)
		if a.Participant != c.want || (err == nil) != (c.want != "") {
			t.Errorf("NewAddress(%.20q, %.20q, %.20q) = %.20q, %v", c.tenant, c.workflow, c.participant, a.Participant, err)
		}
		if err != nil && tandem.KindOf(err) != tandem.Invalid {
			t.Errorf("%v is of kind %v", err, tandem.KindOf(err))
		}
	}
}

// Law 9. Broken by hashing the three names joined with a colon.
func TestAddress_rootIsOfThreeNamesNotOfTheirSum(t *testing.T) {
	seen := map[tandem.Hash]tandem.Address{}
	for _, a := range []tandem.Address{{"a", "b:c", "d"}, {"a", "b", "c:d"}, {"a:b", "c", "d"}, {"ab", "c", "d"}, {"a", "bc", "d"}, {"a", "b", "cd"}} {
		if b, ok := seen[a.Root()]; ok {
			t.Errorf("%v and %v have one root", a, b)
		}
		seen[a.Root()] = a
	}
}

func TestParseWorkflow_takesOnlyTheTenantsOwnPrefix(t *testing.T) {
	for in, want := range map[string]string{
		"customer-support": "customer-support", "acme:support": "support", "acme:Agent Name:Flow": "Agent Name:Flow",
		"other:support": "other:support", "Agent Name:Flow": "Agent Name:Flow", "acme:": "acme:",
	} {
		if got := tandem.ParseWorkflow("acme", in); got != want {
			t.Errorf("ParseWorkflow(acme, %q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"0-abcdefgh", "12-abcdefg7", "-1-abcdefgh", "01-abcdefgh", "1-ABCDEFGH", "1-abcdefg", "", "999999999999999999-aaaaaaaa", "1-abcdefgh\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := tandem.ParseCursor(s)
		if err == nil && (c.String() != s || c.Seq < 0) {
			t.Errorf("%q reads as %v", s, c)
		}
		if err != nil && !c.IsZero() {
			t.Errorf("%q gives an error and %v", s, c)
		}
	})
}

func TestNewID_sortsByTimeAndDoesNotRepeat(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seen := map[string]bool{}
	last := ""
	for i := range 1000 {
		id := tandem.NewID("msg_", now.Add(time.Duration(i)*time.Millisecond))
		if len(id) != 30 || seen[id] || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		seen[id], last = true, id
	}
	// The ULID of 2026-01-02T03:04:05Z begins with its 48 bits of milliseconds.
	if id := tandem.NewID("", now); id[:10] != "01KDYAK348" {
		t.Errorf("time part %s", id[:10])
	}
}

func TestError_keepsItsCauseOutOfTheSentence(t *testing.T) {
	cause := errors.New("password is hunter2")
	err := tandem.Errorf(tandem.Unavailable, "cannot reach the agent: %w", cause)
	if err.Message != "cannot reach the agent" || !errors.Is(err, cause) {
		t.Errorf("message %q", err.Message)
	}
	if k := tandem.KindOf(fmt.Errorf("wrapped: %w", err)); k != tandem.Unavailable {
		t.Errorf("kind %v", k)
	}
	if tandem.KindOf(cause) != tandem.Internal {
		t.Error("an unknown error is not internal")
	}
}

func TestAudience_visibility(t *testing.T) {
	for _, c := range []struct {
		of, reader tandem.Audience
		want       bool
	}{
		{tandem.Everyone, tandem.Everyone, true},
		{tandem.Everyone, tandem.Agents, true},
		{tandem.Everyone, tandem.Operators, true},
		{tandem.Operators, tandem.Everyone, false},
		{tandem.Operators, tandem.Agents, false},
		{tandem.Operators, tandem.Operators, true},
		{tandem.Agents, tandem.Everyone, false},
		{tandem.Agents, tandem.Agents, true},
		{tandem.Agents, tandem.Operators, true},
		{tandem.Audience(9), tandem.Operators, false},
	} {
		if got := c.of.VisibleTo(c.reader); got != c.want {
			t.Errorf("%v visible to %v: %v", c.of, c.reader, got)
		}
	}
}

func TestPrincipal_mayReadOnlyItsOwn(t *testing.T) {
	ann := tandem.Address{Tenant: "acme", Workflow: "support", Participant: "ann"}
	for _, c := range []struct {
		p    tandem.Principal
		want bool
	}{
		{tandem.Principal{Tenant: "acme", Role: tandem.Participant, Subject: "ann"}, true},
		{tandem.Principal{Tenant: "acme", Role: tandem.Participant, Subject: "bob"}, false},
		{tandem.Principal{Tenant: "other", Role: tandem.Participant, Subject: "ann"}, false},
		{tandem.Principal{Tenant: "acme", Role: tandem.Agent}, true},
		{tandem.Principal{Tenant: "acme", Role: tandem.Agent, Workflow: "orders"}, false},
		{tandem.Principal{Tenant: "other", Role: tandem.Owner}, false},
	} {
		if got := c.p.MayRead(ann); got != c.want {
			t.Errorf("%+v: %v", c.p, got)
		}
	}
}
