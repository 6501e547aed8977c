package desktest_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// A door is a way to ask the server something. Its path has {id}, {line}, {who} and
// {tenant} for what the one who asks has heard of.
type door struct {
	name, path string
	stream     bool
}

var doors = []door{
	{"history", "/api/user/rest/history?workflow={line}&participantId={who}", false},
	{"history of a tenant", "/api/user/rest/history?workflow={tenant}:{line}&participantId={who}&tenantId={tenant}", false},
	{"snapshot", "/api/conversation/{id}", false},
	{"audit of a conversation", "/api/conversation/{id}/audit", false},
	{"list", "/api/conversations", false},
	{"list of a line", "/api/conversations?workflow={line}", false},
	{"users", "/api/admin/users", false},
	{"keys", "/api/admin/keys", false},
	{"tenants", "/api/admin/tenants", false},
	{"audit", "/api/admin/audit", false},
	{"me", "/api/auth/me", false},
	{"events", "/api/user/sse/events?workflow={line}&participantId={who}&tokens=true&echo=true&presence=true&lastEventId=none", true},
	{"session", "/sse/connect/session-of-{who}", true},
	{"conversation", "/api/conversation/{id}/stream", true},
	{"board", "/api/conversations/stream", true},
	{"board with watch", "/api/conversations/stream?watch={id},{id2}", true},
	{"feed", "/api/agent/events?workflow={line}&lastEventId=none", true},
	{"chat", "/ws?workflow={line}&after=none", true},
}

// A look is somebody at a door.
type look struct {
	by   *viewer
	door door
	path string
	body string
	live *stream
}

func (l look) String() string { return fmt.Sprintf("%s %s at %s", l.by.Role, l.by.Subject, l.path) }

func (w *world) look(rt *rapid.T) look {
	l := look{by: pick(rt, "viewer", w.people), door: pick(rt, "door", doors)}
	return w.at(rt, l)
}

// at fills in what is asked for: often what is the viewer's own, often not.
func (w *world) at(rt *rapid.T, l look) look {
	p, p2 := pick(rt, "of", w.places), pick(rt, "and of", w.places)
	who := p.address.Participant
	if l.by.Role == tandem.Participant && rapid.Bool().Draw(rt, "own") {
		who = l.by.Subject
	}
	l.path = strings.NewReplacer("{id}", p.id, "{id2}", p2.id, "{line}", p.address.Workflow, "{who}", url.QueryEscape(who), "{tenant}", p.address.Tenant).Replace(l.door.path)
	return l
}

func (l *look) ask(rt *rapid.T, x *desktest.Tandem) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, x.URL+l.path, nil)
	if err != nil {
		rt.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.by.token)
	res, err := x.Client.Do(req)
	if err != nil {
		rt.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		rt.Fatal(err)
	}
	l.body = string(b)
}

// settle waits until nothing more comes, and closes the stream.
func (l *look) settle() {
	for {
		_, news := l.live.all()
		select {
		case <-news:
			continue
		case <-l.live.done:
		case <-time.After(30 * time.Millisecond):
		}
		break
	}
	l.live.close()
	l.body = l.live.body()
}

// The agent's questions are a door too.
type asked struct {
	mu  sync.Mutex // guards all
	all []tandem.Question
}

// Whoever comes with whatever credential to whatever door, before or after: no
// answer and no frame holds a word, a login or a name of another tenant, of another
// participant, or for another audience, nor counts one.
//
// Seen to fail, each within a few worlds, by a list, a queue's places and a
// permission to read without the tenant; by a history, a snapshot and an agent's
// question that do not look at the audience; by a count with the notes; by an
// operator who may see what another holds.
func TestDoors_showNobodyWhatIsNotTheirs(t *testing.T) {
	checks := 60
	if testing.Short() {
		checks = 12
	}
	was := flag.Lookup("rapid.checks").Value.String()
	_ = flag.Set("rapid.checks", strconv.Itoa(checks))
	defer func() { _ = flag.Set("rapid.checks", was) }()

	var worlds sync.Map // by tenant
	questions := &asked{}
	answers := func(_ context.Context, q tandem.Question, emit func(tandem.Piece) error) error {
		questions.mu.Lock()
		questions.all = append(questions.all, q)
		questions.mu.Unlock()
		if w, ok := worlds.Load(q.Tenant); ok {
			return emit(tandem.Piece{Text: w.(*world).answer(q)})
		}
		return nil
	}
	limits := tandem.DefaultLimits()
	limits.Requests, limits.Streams = tandem.Rate{}, 0
	x := desktest.Start(t, desktest.Options{Agents: desktest.AnsweredBy(desktest.AgentFunc(answers)), Limits: &limits})
	shown := map[string]int{}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		w := newWorld(rt, x, n)
		for _, tenant := range w.tenants {
			worlds.Store(tenant, w)
		}
		for _, l := range w.passes(rt) {
			shown[l.door.name] += w.judge(rt, l)
		}
		questions.mu.Lock()
		defer questions.mu.Unlock()
		for _, q := range questions.all {
			w.judgeQuestion(rt, &q)
		}
		questions.all = nil
	})
	for _, d := range doors {
		if shown[d.name] == 0 && d.name != "tenants" /* which only an owner of the default one sees */ && !testing.Short() {
			t.Errorf("nobody was ever shown anything at %s", d.name)
		}
	}
}

// passes lets things happen while some watch, and then asks at many doors.
func (w *world) passes(rt *rapid.T) (looks []look) {
	for range 4 {
		l := w.look(rt)
		for !l.door.stream {
			l.door = pick(rt, "stream", doors)
		}
		l = w.at(rt, l)
		l.live = opens(w.x, l.by.token, l.path)
		looks = append(looks, l)
	}
	for range rapid.IntRange(5, 30).Draw(rt, "steps") {
		w.step(rt)
	}
	for range 16 {
		l := w.look(rt)
		if l.door.stream {
			l.live = opens(w.x, l.by.token, l.path)
			l.settle()
			l.live = nil
		} else {
			l.ask(rt, w.x)
		}
		looks = append(looks, l)
	}
	for i := range looks {
		if looks[i].live != nil {
			looks[i].settle()
		}
	}
	return looks
}

// answer is what the agent says to q.
func (w *world) answer(q tandem.Question) string {
	for _, p := range w.places {
		if p.address.Tenant == q.Tenant && p.id == q.Conversation {
			return w.says(p, tandem.Everyone, "answer")
		}
	}
	return "?"
}

var (
	places = regexp.MustCompile(`"queue_?[pP]lace":(\d+)`)
	totals = regexp.MustCompile(`"total_messages":(\d+)`)
)

// judge looks at all bytes that somebody was shown, and returns how many marks they
// have.
func (w *world) judge(rt *rapid.T, l look) (shown int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	asks := 0
	for _, m := range w.marks {
		if !strings.Contains(l.body, m.word) || strings.Contains(l.path, m.word) && m.own { // the latter is its own words
			continue
		}
		shown++
		if !w.maySee(l.by, m, l.live == nil && !l.door.stream) {
			rt.Fatalf("%v is shown %s, of %s %s, for audience %d\n%s", l, m.word, m.tenant, m.whose, m.audience, l.body)
		}
	}
	for _, m := range w.marks {
		if m.tenant == l.by.Tenant && m.at != nil && m.audience == tandem.Everyone {
			asks++
		}
	}
	for _, found := range places.FindAllStringSubmatch(l.body, -1) {
		if n, _ := strconv.Atoi(found[1]); n > 2 { // of each line there are two conversations
			rt.Fatalf("%v is told place %d, and there are 2\n%s", l, n, l.body)
		}
	}
	for _, found := range totals.FindAllStringSubmatch(l.body, -1) {
		if n, _ := strconv.Atoi(found[1]); n > asks {
			rt.Fatalf("%v is told of %d messages, of at most %d\n%s", l, n, asks, l.body)
		}
	}
	if l.by.Role == tandem.Participant && strings.Contains(l.body, `"unread"`) {
		rt.Fatalf("%v is told how many nobody has read\n%s", l, l.body)
	}
	w.judgeSnapshot(rt, l)
	return shown
}

// judgeSnapshot compares the count of a snapshot with what it shows.
func (w *world) judgeSnapshot(rt *rapid.T, l look) {
	var s struct {
		Conversation struct {
			Total    int               `json:"total_messages"`
			Messages []json.RawMessage `json:"messages"`
		} `json:"conversation"`
	}
	if l.door.name == "snapshot" && json.Unmarshal([]byte(l.body), &s) == nil && s.Conversation.Total != len(s.Conversation.Messages) {
		rt.Fatalf("%v is told of %d messages and shown %d\n%s", l, s.Conversation.Total, len(s.Conversation.Messages), l.body)
	}
}

// judgeQuestion looks at all that an agent is told.
func (w *world) judgeQuestion(rt *rapid.T, q *tandem.Question) {
	b, err := json.Marshal(q)
	if err != nil {
		rt.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.marks {
		if !strings.Contains(string(b), m.word) || (m.login || m.own) && m.tenant == q.Tenant {
			continue
		}
		if m.tenant != q.Tenant || m.audience == tandem.Operators || m.at == nil || m.at.id != q.Conversation {
			rt.Fatalf("the agent of %s is told %s, of %s, for audience %d\n%s", q.Tenant, m.word, m.tenant, m.audience, b)
		}
	}
}
