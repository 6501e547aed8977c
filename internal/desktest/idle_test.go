package desktest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

// questions counts what the store asks the database, by its text.
type questions struct {
	driver.Driver
	mu    sync.Mutex // guards asked
	asked map[string]int
}

func (q *questions) note(query string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked[strings.Join(strings.Fields(query), " ")]++
}

// since returns what was asked, and begins anew.
func (q *questions) since() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	asked := q.asked
	q.asked = map[string]int{}
	return asked
}

func (q *questions) Open(name string) (driver.Conn, error) {
	c, err := q.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	return &questioned{c.(sqliteConn), q}, nil
}

// sqliteConn is what the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type questioned struct {
	sqliteConn
	by *questions
}

func (c *questioned) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.by.note(query)
	return c.sqliteConn.QueryContext(ctx, query, args)
}

func (c *questioned) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.by.note(query)
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c *questioned) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.by.note("begin")
	return c.sqliteConn.BeginTx(ctx, opts)
}

func (c *questioned) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &questionedStmt{s.(sqliteStmt), c.by, query}, nil
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type questionedStmt struct {
	sqliteStmt
	by    *questions
	query string
}

func (s *questionedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.by.note(s.query)
	return s.sqliteStmt.QueryContext(ctx, args)
}

func (s *questionedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.by.note(s.query)
	return s.sqliteStmt.ExecContext(ctx, args)
}

// everyFace opens streams of all faces on a few threads and returns them.
func everyFace(x *desktest.Tandem, threads int) []*stream {
	x.T.Helper()
	lead, engine := x.Token("lee", tandem.Supervisor), x.Key(tandem.Agent)
	var all []*stream
	var ids []string
	for n := range threads {
		who := fmt.Sprint("user-", n)
		c, _, err := x.Desk.Open(x.T.Context(), backEnd(), desk.Opening{Address: desktest.Address(who)})
		if err != nil {
			x.T.Fatal(err)
		}
		ids = append(ids, c.ID)
		token := x.Token(who, tandem.Participant)
		all = append(all,
			opens(x, token, "/api/user/sse/events?workflow=support&tokens=true&heartbeatSeconds=1&participantId="+who),
			opens(x, token, "/ws"),
			opens(x, token, "/sse/connect/session-of-"+who),
			opens(x, lead, "/api/conversation/"+c.ID+"/stream"))
	}
	all = append(all,
		opens(x, lead, "/api/conversations/stream"),
		opens(x, lead, "/api/conversations/stream?watch="+strings.Join(ids, ",")),
		opens(x, engine, "/api/agent/events?workflow=support&heartbeatSeconds=1"))
	for _, s := range all {
		if s.status != 200 && s.status != 101 {
			x.T.Fatalf("%s: %d", s.name, s.status)
		}
	}
	return all
}

// An idle server asks the store for one row, once a second, however many streams of
// all faces are open. Seen to fail by a follower that looks at the log at each
// heartbeat.
func TestIdle_nothingPollsButOneRow(t *testing.T) {
	q := &questions{Driver: &sqlite.Driver{}, asked: map[string]int{}}
	sql.Register("questions", q)
	x := desktest.Start(t, desktest.Options{Driver: "questions"})
	all := everyFace(x, 10)
	beats := 0
	next := func() { // waits a second, by the first stream's heartbeats
		beats++
		n := 0
		if _, err := all[0].find(func(e shownEvent) bool {
			if e.name == "heartbeat" {
				n++
			}
			return n == beats
		}); err != nil {
			t.Fatal(err)
		}
	}
	const row = "select rev from revocations where one = 1"
	asked := map[string]int{"": 1}
	for i := 0; i < 20 && (len(asked) > 1 || asked[row] == 0); i++ { // until what they began with is done
		next()
		asked = q.since()
	}
	for range 5 {
		next()
	}
	asked = q.since()
	if n := asked[row]; n < 3 || n > 8 {
		t.Errorf("%q was asked %d times in 5 seconds", row, n)
	}
	delete(asked, row)
	for query, n := range asked {
		t.Errorf("asked %d times: %s", n, query)
	}
}
