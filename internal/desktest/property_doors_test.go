package desktest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
)

// An entrance is a way to read.
type entrance struct {
	name string
	open func(*town, *reader, spot) *knock
}

// A knock is a reader at a door, and what came of it.
type knock struct {
	door   string
	reader *reader
	path   string
	stream *stream          // nil: it was one answer
	body   string           // of one answer
	scope  func(*word) bool // what the door may show at all to somebody who may see everything; nil: all
	waits  func(*word) bool // what a stream shows; nil: it only begins
	total  string           // conversation whose count the door tells
	rows   bool             // it is the list
	line   string           // workflow that one must serve to be shown anything; empty: any
}

var entrances = []entrance{
	{"history", (*town).history},
	{"events", (*town).events},
	{"chat socket", (*town).chat},
	{"snapshot", (*town).snapshot},
	{"conversation stream", (*town).conversationStream},
	{"conversation audit", (*town).audit},
	{"list", (*town).list},
	{"board", (*town).board},
	{"session", (*town).session},
	{"feed", (*town).feed},
	{"tenant's audit", (*town).tenantAudit},
}

// sees is the rule, told once more and in another way than the code has it.
func (w *town) sees(r *reader, m *word, live bool) bool {
	if m.tenant != r.tenant {
		return false
	}
	staff := r.role == tandem.Operator || r.role == tandem.Supervisor || r.role == tandem.Owner
	switch {
	case m.login:
		return r.role != tandem.Participant
	case m.session:
		return r.role == tandem.Participant && r.subject == m.participant
	case m.audience == tandem.Operators && !staff, m.audience == tandem.Agents && !staff && r.role != tandem.Agent:
		return false
	case r.role == tandem.Participant:
		return r.subject == m.participant
	}
	c := w.words.conversations[m.conversation]
	if r.role == tandem.Operator {
		return c != nil && (r.workflow == "" || r.workflow == c.Workflow) && (c.Admin == "" || c.Admin == r.subject || live && m.ever[r.subject])
	}
	return r.workflow == "" || m.on(r.workflow) || c != nil && c.Workflow == r.workflow
}

// on reports whether it was written to the thread of this workflow, besides that of
// its conversation.
func (m *word) on(line string) bool { return slices.Contains(m.workflows, line) }

func (w *town) onThread(s spot) func(*word) bool {
	return func(m *word) bool {
		c := w.words.conversations[m.conversation]
		return m.login || m.participant == s.name && !m.session && (m.on(s.line) || c != nil && c.Workflow == s.line)
	}
}

// tells is what the door of a thread must show, of what is on it.
func (w *town) tells(s spot) func(*word) bool {
	return func(m *word) bool {
		c := w.words.conversations[m.conversation]
		return m.tenant == s.tenant && m.counts && m.participant == s.name && c != nil && c.Workflow == s.line
	}
}

// knock has any reader knock at any door.
func (w *town) knock() *knock {
	r := anyOf(w, w.readers)
	s := spot{tenant: r.tenant, line: anyOf(w, services), name: anyOf(w, people)}
	if w.rnd.IntN(3) == 0 {
		s.tenant = anyOf(w, w.tenants)
	}
	if r.role == tandem.Participant && w.rnd.IntN(2) == 0 {
		s.name = r.subject
	}
	s.talk = w.anyTalk(s)
	d := anyOf(w, entrances)
	k := d.open(w, r, s)
	if k.waits != nil {
		k.line = s.line
	}
	k.door, k.reader = d.name, r
	return k
}

// anyTalk is a conversation of the spot's thread, whether or not it has ended.
func (w *town) anyTalk(s spot) *episode {
	w.words.mu.Lock()
	defer w.words.mu.Unlock()
	var fit []*episode
	for _, c := range w.words.conversations {
		if c.Tenant == s.tenant && c.Worker == s.name && c.Workflow == s.line {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		return &episode{ID: "none", Tenant: s.tenant}
	}
	slices.SortFunc(fit, func(a, b *episode) int { return strings.Compare(a.ID, b.ID) })
	return anyOf(w, fit)
}

// open has some readers follow everything from before it happens.
func (w *town) open() (live []*knock) {
	for _, r := range w.readers {
		if r.role == tandem.Participant {
			k := w.session(r, spot{tenant: r.tenant, name: r.subject})
			k.door, k.reader = "session", r
			live = append(live, k)
		}
	}
	for range 10 {
		k := w.knock()
		if k.stream == nil {
			continue
		}
		live = append(live, k)
	}
	for _, k := range live {
		if _, err := k.stream.find(func(shownEvent) bool { return true }); err != nil && k.stream.status == http.StatusOK && k.door != "session" || err != nil && err != errEndedEarly {
			w.t.Errorf("%s, %s (%d): %v", k.reader, k.path, k.stream.status, err)
		}
	}
	return live
}

// query is the spot's thread in a query, in one of the ways to name a tenant.
func (w *town) query(r *reader, s spot) url.Values {
	q := s.threadQuery()
	if s.tenant != r.tenant {
		if w.rnd.IntN(2) == 0 {
			q.Set("tenantId", s.tenant)
		} else {
			q.Set("workflow", s.tenant+":"+s.line)
		}
	}
	return q
}

func (w *town) get(r *reader, path string) *knock {
	_, _, body := w.do(r.token, "GET", path, nil)
	return &knock{path: path, body: body}
}

func (w *town) stream(r *reader, path string) *knock {
	return &knock{path: path, stream: opens(w.x, r.token, path)}
}

func (w *town) history(r *reader, s spot) *knock {
	q := w.query(r, s)
	q.Set("pageSize", "200")
	k := w.get(r, "/api/user/rest/history?"+q.Encode())
	k.scope = w.onThread(s)
	if r.tenant == s.tenant && r.role != tandem.Operator {
		k.waits = w.tells(s)
	}
	return k
}

func (s spot) start() string {
	return tandem.Address{Tenant: s.tenant, Workflow: s.line, Participant: s.name}.Start().String()
}

func (w *town) events(r *reader, s spot) *knock {
	q := w.query(r, s)
	q.Set("echo", "true")
	q.Set("tokens", strconv.FormatBool(w.rnd.IntN(2) == 0))
	q.Set("presence", strconv.FormatBool(w.rnd.IntN(2) == 0))
	q.Set("lastEventId", s.start())
	k := w.stream(r, "/api/user/sse/events?"+q.Encode())
	k.scope = w.onThread(s)
	if r.tenant == s.tenant && r.role != tandem.Operator {
		k.waits = w.tells(s)
	}
	return k
}

func (w *town) chat(r *reader, s spot) *knock {
	k := w.stream(r, "/ws?"+url.Values{"workflow": {s.line}, "participantId": {s.name}, "tenantId": {s.tenant}, "after": {s.start()}}.Encode())
	if s.name = r.subject; s.tenant == r.tenant && r.role == tandem.Participant {
		k.scope, k.waits = w.onThread(s), w.tells(s)
		if strings.Contains(k.path, "participantId="+r.subject) {
			return k
		}
		k.waits = nil // the place is that of another's thread
	}
	return k
}

func (s spot) inTalk(m *word) bool { return m.login || m.conversation == s.talk.ID }

func (s spot) counted(m *word) bool { return m.counts && m.conversation == s.talk.ID }

func (w *town) snapshot(r *reader, s spot) *knock {
	k := w.get(r, "/api/conversation/"+s.talk.ID)
	k.scope, k.waits, k.total = s.inTalk, s.counted, s.talk.ID
	return k
}

func (w *town) conversationStream(r *reader, s spot) *knock {
	k := w.stream(r, "/api/conversation/"+s.talk.ID+"/stream")
	k.scope, k.waits, k.total = s.inTalk, s.counted, s.talk.ID
	return k
}

func (w *town) audit(r *reader, s spot) *knock {
	k := w.get(r, "/api/conversation/"+s.talk.ID+"/audit")
	k.scope = s.inTalk
	return k
}

func (w *town) tenantAudit(r *reader, _ spot) *knock { return w.get(r, "/api/admin/audit?limit=100") }

func (w *town) list(r *reader, _ spot) *knock {
	k := w.get(r, "/api/conversations?limit=100")
	k.rows = true
	return k
}

func (w *town) board(r *reader, s spot) *knock {
	k := w.stream(r, "/api/conversations/stream?watch="+s.talk.ID)
	if r.role != tandem.Participant {
		k.waits = s.counted
	}
	return k
}

func (w *town) session(r *reader, s spot) *knock {
	k := w.stream(r, "/sse/connect/page-of-"+s.name+"?lastEventId=none") // all that is kept
	k.scope = func(m *word) bool { return m.session }
	if r.tenant == s.tenant && r.subject == s.name {
		k.waits = func(m *word) bool { return m.session }
	}
	return k
}

func (w *town) feed(r *reader, s spot) *knock {
	q := url.Values{"workflow": {s.line}, "lastEventId": {"none"}}
	k := w.stream(r, "/api/agent/events?"+q.Encode())
	k.scope = func(m *word) bool {
		c := w.words.conversations[m.conversation]
		return m.login || !m.session && (m.on(s.line) || c != nil && c.Workflow == s.line)
	}
	if r.role == tandem.Agent || r.role == tandem.Owner {
		k.waits = func(m *word) bool {
			c := w.words.conversations[m.conversation]
			return m.counts && m.incoming && c != nil && c.Workflow == s.line && (r.workflow == "" || r.workflow == s.line)
		}
	}
	return k
}

var totalPattern = regexp.MustCompile(`"total_messages":\s*([0-9]+)`)

// judge looks up every word that somebody got. live: while it happened.
func (w *town) judge(k *knock, live bool) {
	w.t.Helper()
	must := w.mustSee(k)
	body := k.body
	if k.stream != nil {
		body = w.read(k, must, live)
	} else {
		for _, m := range must {
			if !strings.Contains(body, m.text) {
				w.t.Errorf("%s does not see %s at %s: %s", k.reader, m.text, k.path, body)
			}
		}
	}
	w.words.mu.Lock()
	defer w.words.mu.Unlock()
	for _, text := range wordPattern.FindAllString(body, -1) {
		m := w.words.byText[text]
		if m == nil || !w.sees(k.reader, m, live) || k.scope != nil && (!k.scope(m) || !k.serves()) {
			w.t.Errorf("%s (live: %t) sees %s at %s: %+v", k.reader, live, text, k.path, m)
		}
		w.saw[k.door]++
	}
	if found := totalPattern.FindStringSubmatch(body); k.total != "" && found != nil && !live && found[1] != strconv.Itoa(w.counted(k.total, false)) {
		w.t.Errorf("%s at %s: %s messages, and not %d", k.reader, k.path, found[1], w.counted(k.total, false))
	}
	if k.rows {
		w.judgeRows(k)
	}
}

func (k *knock) serves() bool {
	return k.line == "" || k.reader.workflow == "" || k.reader.workflow == k.line
}

// mustSee are the words that somebody has to get, oldest first.
func (w *town) mustSee(k *knock) (list []*word) {
	w.words.mu.Lock()
	defer w.words.mu.Unlock()
	for _, m := range w.words.byText {
		if k.waits != nil && k.waits(m) && k.serves() && w.sees(k.reader, m, false) {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b *word) int { return a.nth - b.nth })
	return list
}

// read waits until a stream has shown what it must, or has begun, and ends it. A
// live one began somewhere, and may have ended with the conversation or its loss: it
// need not show everything.
func (w *town) read(k *knock, must []*word, live bool) string {
	w.t.Helper()
	defer k.stream.close()
	if live && len(must) > 0 {
		must = must[len(must)-1:]
	}
	for _, m := range must {
		_, err := k.stream.find(func(e shownEvent) bool { return strings.Contains(e.data, m.text) })
		if err != nil && !(live && err == errEndedEarly) {
			w.t.Errorf("%s (live: %t) does not see %s at %s (%d): %v: %+v\nafter %s", k.reader, live, m.text, k.path, k.stream.status, err, m, k.stream.body())
			break
		}
	}
	if len(must) == 0 && !live && !strings.HasPrefix(k.path, "/sse/") {
		if _, err := k.stream.find(func(shownEvent) bool { return true }); err != nil && err != errEndedEarly {
			w.t.Errorf("%s at %s (%d): %v", k.reader, k.path, k.stream.status, err)
		}
	}
	return k.stream.body()
}

// counted is how many messages a conversation has, or how many of the participant.
func (w *town) counted(id string, incoming bool) (n int) {
	for _, m := range w.words.byText {
		if m.conversation == id && m.counts && (m.incoming || !incoming) {
			n++
		}
	}
	return n
}

// judgeRows looks at the rows of a list: whose they are, and what they count.
func (w *town) judgeRows(k *knock) {
	var list struct {
		Conversations []struct {
			ID     string `json:"conversation_id"`
			Unread int
		}
	}
	_ = json.Unmarshal([]byte(k.body), &list) // a refusal has none
	r, want := k.reader, 0
	for _, c := range w.words.conversations {
		mine := c.Tenant == r.tenant && (r.workflow == "" || r.workflow == c.Workflow) && (r.role != tandem.Operator || c.Admin == "" || c.Admin == r.subject)
		if mine && r.role != tandem.Participant {
			want++
		}
	}
	if len(list.Conversations) != want {
		w.t.Errorf("%s lists %d conversations, and not %d", r, len(list.Conversations), want)
	}
	for _, row := range list.Conversations {
		if unread := w.unread(row.ID); row.Unread != unread {
			w.t.Errorf("%s: %d of %s are unread, and not %d", r, row.Unread, row.ID, unread)
		}
	}
}

// unread is how many messages the participant said after the last word of somebody
// who answers.
func (w *town) unread(id string) int {
	last := 0
	for _, m := range w.words.byText {
		if m.conversation == id && m.operator && m.counts {
			last = max(last, m.spoke)
		}
	}
	n := 0
	for _, m := range w.words.byText {
		if m.conversation == id && m.counts && m.incoming && m.nth > last {
			n++
		}
	}
	return n
}

// judgeAgents looks at what the agents were asked.
func (w *town) judgeAgents() {
	w.words.mu.Lock()
	defer w.words.mu.Unlock()
	for _, q := range w.words.asked {
		for _, text := range wordPattern.FindAllString(fmt.Sprintf("%+v %s", q, q.Data), -1) {
			m := w.words.byText[text]
			if m == nil || m.tenant != q.Tenant || m.conversation != q.Conversation || m.audience == tandem.Operators {
				w.t.Errorf("the agent of %s of %s is asked with %s in %s: %+v", q.Workflow, q.Tenant, text, q.Conversation, m)
			}
		}
	}
	w.words.asked = nil
}
