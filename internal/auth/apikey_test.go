package auth

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tandem "github.com/seed4677ff1f/tandem"
)

func TestKey_standsForWhatItWasMadeFor(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		req  KeyRequest
		want tandem.Principal
	}{
		{
			KeyRequest{Tenant: "acme", Name: "orders", Role: tandem.Agent, Workflow: "acme:Order Agent:Status", Rate: tandem.Rate{N: 5, Per: time.Minute}, TTL: time.Hour},
			tandem.Principal{Tenant: "acme", Subject: "orders", Role: tandem.Agent, Workflow: "Order Agent:Status", Rate: tandem.Rate{N: 5, Per: time.Minute}, Expires: noon.Add(time.Hour)},
		},
		{
			KeyRequest{Tenant: "acme", Name: "page", Role: tandem.Participant, Subject: "Ann"},
			tandem.Principal{Tenant: "acme", Subject: "ann", Role: tandem.Participant},
		},
		{
			KeyRequest{Tenant: "default", Name: "admin", Role: tandem.Owner},
			tandem.Principal{Tenant: "default", Subject: "admin", Role: tandem.Owner},
		},
	} {
		secret, k := r.key(t, c.req)
		if !regexp.MustCompile(`^sk-[A-Za-z0-9_-]{43}$`).MatchString(secret) {
			t.Errorf("a key is %d characters of another form", len(secret))
		}
		c.want.Kind, c.want.ID, c.want.Issued = tandem.CredentialKey, k.ID, noon
		if c.want.Role == tandem.Agent {
			c.want.Name = c.req.Name // what people know it by
		}
		if d := cmp.Diff(c.want, r.good(t, secret)); d != "" {
			t.Error(d)
		}
		r.refused(t, secret+"x", ReasonUnknown)
		r.refused(t, secret[:len(secret)-1], ReasonUnknown)
		r.refused(t, strings.ToLower(secret), ReasonUnknown)
		r.refused(t, k.ID, ReasonMalformed)
	}
}

func TestCreateKey_refusesWhatCannotBe(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	for name, req := range map[string]KeyRequest{
		"participant of nobody":  {Tenant: "acme", Role: tandem.Participant},
		"agent with a subject":   {Tenant: "acme", Role: tandem.Agent, Subject: "ann"},
		"owner with a subject":   {Tenant: "acme", Role: tandem.Owner, Subject: "ann"},
		"no role":                {Tenant: "acme"},
		"no tenant":              {Role: tandem.Agent},
		"bad tenant":             {Tenant: "a b", Role: tandem.Agent},
		"reserved workflow":      {Tenant: "acme", Role: tandem.Agent, Workflow: "$x"},
		"workflow with a LF":     {Tenant: "acme", Role: tandem.Agent, Workflow: "a\nb"},
		"long name":              {Tenant: "acme", Role: tandem.Agent, Name: strings.Repeat("a", tandem.MaxName+1)},
		"negative life":          {Tenant: "acme", Role: tandem.Agent, TTL: -1},
		"negative rate":          {Tenant: "acme", Role: tandem.Agent, Rate: tandem.Rate{N: -1, Per: time.Minute}},
		"rate without a period":  {Tenant: "acme", Role: tandem.Agent, Rate: tandem.Rate{N: 1}},
		"subject not UTF-8":      {Tenant: "acme", Role: tandem.Participant, Subject: "\xff"},
		"subject is not a label": {Tenant: "acme", Role: tandem.Participant, Subject: "a\x7f"},
	} {
		if s, _, err := r.CreateKey(ctx, req); tandem.KindOf(err) != tandem.Invalid || s != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if has, err := r.store.HasTenant(ctx, "acme"); has || err != nil {
		t.Error("a refused request made a tenant", err)
	}
}

func TestKey_expiresWithTheSameLeeway(t *testing.T) {
	r := newRig(t)
	secret, _ := r.key(t, KeyRequest{TTL: time.Minute})
	r.clock.move(time.Minute + 5*time.Second - time.Microsecond)
	p := r.good(t, secret)
	r.clock.move(time.Microsecond)
	r.refused(t, secret, ReasonExpired)
	if got := r.Deadline(p); !got.Equal(r.clock.read()) {
		t.Error("its streams end at", got)
	}
	forever, _ := r.key(t, KeyRequest{})
	if got := r.Deadline(r.good(t, forever)); !got.IsZero() {
		t.Error("a key without an end has the deadline", got)
	}
}

// The server sees what a command makes and takes back.
func TestKey_byAnotherProcessHoldsAtOnce(t *testing.T) {
	ctx := context.Background()
	server := newRig(t)
	command := server.another(t)
	secret, k := command.key(t, KeyRequest{Tenant: "new"})
	p := server.good(t, secret)
	if err := command.RevokeKey(ctx, "", k.ID); err != nil {
		t.Fatal(err)
	}
	server.refused(t, secret, ReasonRevoked) // at once: the key's own row says it
	server.clock.move(pollEvery)
	if got := ReasonOf(server.Recheck(ctx, p)); got != ReasonRevoked {
		t.Error("an open stream of it, a second later:", got)
	}
	list, err := server.ListKeys(ctx, "new")
	if err != nil || len(list) != 1 || list[0].ID != k.ID || list[0].Revoked.IsZero() {
		t.Error(list, err)
	}
}

func TestKey_isRevokedInItsTenantOnly(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	secret, k := r.key(t, KeyRequest{Tenant: "acme"})
	if err := r.RevokeKey(ctx, "default", k.ID); tandem.KindOf(err) != tandem.NotFound {
		t.Error(err)
	}
	r.good(t, secret)
	if list, err := r.ListKeys(ctx, "default"); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
}

// Fails if the role, the Origin, or the day is not looked at.
func TestKey_seenInABrowserIsMarkedAndLoggedOnceADay(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	use := func(secret string, page bool) {
		t.Helper()
		if _, err := r.Authenticate(ctx, Present(secret, page), Use{Purpose: Stream}); err != nil {
			t.Fatal(err)
		}
	}
	seen := func(id string) time.Time {
		t.Helper()
		k, err := r.store.Key(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return k.Seen
	}
	logged := func() int { return strings.Count(r.log.String(), "is used by a web page") }
	agent, a := r.key(t, KeyRequest{Role: tandem.Agent})
	owner, o := r.key(t, KeyRequest{Role: tandem.Owner})
	page, p := r.key(t, KeyRequest{Role: tandem.Participant, Subject: "ann"})

	use(agent, false)
	use(page, true)
	if n := logged(); n != 0 || !seen(a.ID).IsZero() || !seen(p.ID).IsZero() {
		t.Fatalf("a back end and a page's own key are nothing to tell: logged %d", n)
	}
	for range 3 {
		use(agent, true)
		use(owner, true)
	}
	day := noon.Truncate(24 * time.Hour)
	if n := logged(); n != 2 || !seen(a.ID).Equal(day) || !seen(o.ID).Equal(day) {
		t.Errorf("logged %d times, seen %v, %v", n, seen(a.ID), seen(o.ID))
	}
	r.noteBrowser(ctx, a) // a request beside the first one, which read the key before
	if n := logged(); n != 2 {
		t.Errorf("logged %d times by requests at once", n)
	}
	r.clock.set(day.Add(24*time.Hour - time.Microsecond))
	use(agent, true)
	if n := logged(); n != 2 {
		t.Errorf("the same day: logged %d times", n)
	}
	r.clock.set(day.Add(24 * time.Hour))
	use(agent, true)
	if n := logged(); n != 3 || !seen(a.ID).Equal(day.Add(24*time.Hour)) {
		t.Errorf("the next day: logged %d times", n)
	}
}
