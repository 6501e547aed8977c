package desktest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed4677ff1f/tandem/internal/desktest"
	"github.com/seed4677ff1f/tandem/internal/sse"
)

// A stream is an open stream or socket of any face over HTTP, with all that came.
type stream struct {
	t      testing.TB
	name   string
	status int // of the answer
	socket *websocket.Conn
	hangUp context.CancelFunc
	done   chan struct{} // closed when it has ended

	mu    sync.Mutex // guards all below
	news  chan struct{}
	raw   bytes.Buffer // the body, or the frames, one a line
	shown []shownEvent
	code  int       // with which a socket was closed
	over  time.Time // when it ended
}

// shownEvent is an event of a stream; of a socket a frame.
type shownEvent struct {
	name, data, id string
	at             time.Time
}

// opens opens a stream: of "/ws..." as a socket. It is hung up on at the end of the test.
func opens(x *desktest.Tandem, token, path string, header ...string) *stream {
	x.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{t: x.T, name: strings.SplitN(path, "?", 2)[0], hangUp: cancel, done: make(chan struct{}), news: make(chan struct{})}
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	if strings.HasPrefix(path, "/ws") {
		s.dial(ctx, x, path, h)
	} else {
		s.get(ctx, x, path, h)
	}
	x.T.Cleanup(s.close)
	return s
}

func (s *stream) get(ctx context.Context, x *desktest.Tandem, path string, h http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header = h
	res, err := x.Client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.status = res.StatusCode
	go func() {
		defer s.isOver()
		defer res.Body.Close()
		dec := sse.NewDecoder(io.TeeReader(res.Body, locked{s}), maxFrame)
		for {
			e, err := dec.Next()
			if err != nil {
				return
			}
			s.add(shownEvent{name: e.Name, data: string(e.Data), id: e.ID})
		}
	}()
}

// locked writes down what is read, under the lock.
type locked struct{ *stream }

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw.Write(p)
}

func (s *stream) dial(ctx context.Context, x *desktest.Tandem, path string, h http.Header) {
	s.t.Helper()
	var res *http.Response
	var err error
	s.socket, res, err = websocket.Dial(ctx, "ws"+strings.TrimPrefix(x.URL, "http")+path, &websocket.DialOptions{HTTPHeader: h})
	if res != nil {
		s.status = res.StatusCode
	}
	if err != nil {
		close(s.done)
		return
	}
	s.socket.SetReadLimit(maxFrame)
	go func() {
		defer s.isOver()
		defer s.socket.CloseNow() // which a Read does not that finds ctx over when it begins
		for {
			_, frame, err := s.socket.Read(ctx)
			if err != nil {
				s.mu.Lock()
				s.code = int(websocket.CloseStatus(err))
				s.mu.Unlock()
				return
			}
			var f struct {
				Type   string `json:"type"`
				Cursor string `json:"cursor"`
			}
			_ = json.Unmarshal(frame, &f)
			_, _ = locked{s}.Write(append(frame, '\n'))
			s.add(shownEvent{name: f.Type, data: string(frame), id: f.Cursor})
		}
	}()
}

func (s *stream) add(e shownEvent) {
	e.at = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = append(s.shown, e)
	close(s.news)
	s.news = make(chan struct{})
}

func (s *stream) isOver() {
	s.mu.Lock()
	s.over = time.Now()
	s.mu.Unlock()
	close(s.done)
}

// close hangs up and waits for the end.
func (s *stream) close() {
	s.hangUp()
	<-s.done
}

// all is what was shown so far.
func (s *stream) all() ([]shownEvent, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown[:len(s.shown):len(s.shown)], s.news
}

// body is all the bytes that came.
func (s *stream) body() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

var errEndedEarly = errors.New("the stream has ended")

// find waits for the first event for which match holds.
func (s *stream) find(match func(shownEvent) bool) (shownEvent, error) {
	late := time.NewTimer(within)
	defer late.Stop()
	for from := 0; ; {
		shown, news := s.all()
		for _, e := range shown[from:] {
			if match(e) {
				return e, nil
			}
		}
		from = len(shown)
		select {
		case <-news:
		case <-s.done:
			if shown, _ := s.all(); len(shown) == from {
				return shownEvent{}, errEndedEarly
			}
		case <-late.C:
			return shownEvent{}, context.DeadlineExceeded
		}
	}
}

// sees waits for an event of the name that holds the text.
func (s *stream) sees(name, text string) shownEvent {
	s.t.Helper()
	e, err := s.find(func(e shownEvent) bool { return e.name == name && strings.Contains(e.data, text) })
	if err != nil {
		s.t.Fatalf("%s (%d): no %s with %q: %v\nafter %s", s.name, s.status, name, text, err, s.body())
	}
	return e
}

// ended waits until the stream has ended, and returns its last event.
func (s *stream) ended() shownEvent {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(within):
		s.t.Fatalf("%s does not end\nafter %s", s.name, s.body())
	}
	if shown, _ := s.all(); len(shown) > 0 {
		return shown[len(shown)-1]
	}
	return shownEvent{}
}
