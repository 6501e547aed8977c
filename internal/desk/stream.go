package desk

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// Stream is an answer that an agent or a back end streams to a participant of its
// own accord. Of the Push it has no Text, Data, Hint, Key or Spoken.
type Stream struct {
	Push
	Form string // media type of Body, as Options.Decode knows it
	Body io.Reader

	// Hangup makes reading Body fail soon. It may be called more than once.
	Hangup func()
}

// A Delivery tells what the participant was shown of a push.
type Delivery string

// The deliveries, as the header Tandem-Delivery has them.
const (
	Delivered   Delivery = "delivered"
	Draft       Delivery = "draft"       // nothing: operators see it, and may send it
	Interrupted Delivery = "interrupted" // what came before somebody took over, or cancelled it
)

// errStream is the answer to a body that cannot be read to its end.
func errStream(cause error) error {
	return tandem.Errorf(tandem.Invalid, "The stream could not be read to its end. What was shown of it is kept: %w", cause)
}

// Stream shows the body as an answer in the thread's line, token by token. It is
// the answer to the question with its requestId, if that waits for one. What comes
// while an operator holds, or too late, becomes one draft, or is refused, as with
// Push. It returns when the end is stored; Body is not read any more then. Errors:
// as of Push, and then nothing is stored; but Invalid, TooLarge or Timeout for a
// body that broke off may come after some of it was shown, which is kept.
func (d *Desk) Stream(ctx context.Context, p tandem.Principal, in Stream) (Delivery, error) {
	if err := mayPush(p, in.Address); err != nil {
		return "", err
	}
	if in.Key != "" {
		return "", tandem.Errorf(tandem.Invalid, "An answer that is streamed takes no Idempotency-Key.")
	}
	in.Type = tandem.Chat
	if err := checkLabels(&in.Push); err != nil {
		return "", err
	}
	if in.Name == "" {
		in.Name = p.Display()
	}
	s := &streaming{desk: d, by: p, in: in, pieces: make(chan tandem.Piece), stop: make(chan struct{})}
	defer s.close()
	for range tries {
		late, err := s.judge(ctx)
		if err != nil {
			return "", err
		}
		if late {
			return s.keep(ctx)
		}
		end, err := d.turns.Pushed(ctx, s.at.home, turn.PushedAnswer{
			RequestID: in.RequestID, Scope: in.Scope, Name: in.Name, Meta: metaOf(ctx, p, ""), Begin: s.begin,
		}, s.say)
		switch {
		case err == nil:
			d.metric.HTTP.Posts.Of(typeLabel(tandem.Chat)).Inc()
			return s.ended(end)
		case tandem.KindOf(err) == tandem.Held:
			return s.keep(ctx)
		case tandem.KindOf(err) == tandem.Conflict: // the question is being answered by another push
			if !sleep(ctx, 200*time.Millisecond) {
				return "", ctx.Err()
			}
		case err != errMoved:
			return "", s.reason(err)
		}
	}
	return "", errMoved
}

// streaming is one Stream on its way into the log.
type streaming struct {
	desk *Desk
	by   tandem.Principal
	in   Stream

	at      place
	control tandem.Control // of its home, by which it was judged

	start  sync.Once
	pieces chan tandem.Piece // what the body says; closed at its end
	failed error             // why it ended; nil: it is whole. Set before pieces is closed
	stop   chan struct{}     // closed when nobody reads pieces any more

	text   strings.Builder // all that was taken from pieces
	heard  error           // why say ended
	broken error           // why the body did, as far as its pieces were taken
}

// judge finds where it takes place, and whether it comes too late.
func (s *streaming) judge(ctx context.Context) (late bool, err error) {
	d := s.desk
	if s.at, err = d.place(ctx, s.in.Address, s.in.RequestID); err != nil {
		return false, err
	}
	t, err := d.store.Thread(ctx, s.at.home)
	if err != nil {
		return false, err
	}
	s.control = t.Control
	stale, err := d.askedBefore(ctx, t, s.in.RequestID)
	return stale || s.late(&t.Control), err
}

// late reports whether it may not be shown under this control.
func (s *streaming) late(c *tandem.Control) bool {
	return c.Holder != "" || s.in.Epoch != nil && *s.in.Epoch != c.Epoch
}

// begin is the rule for an answer that no question waits for.
func (s *streaming) begin(on store.State, w *store.Write) (string, error) {
	now := &on.Thread.Control
	switch {
	case s.at.moved(&on) || now.Taken != s.control.Taken:
		return "", errMoved
	case s.late(now):
		return "", errHeld(*now)
	}
	return messageID(w, on.Active, s.desk.NewMessageID()), nil
}

// read hands out what the body says. The first to ask for it begins to read.
func (s *streaming) read() <-chan tandem.Piece {
	s.start.Do(func() {
		go func() {
			defer close(s.pieces)
			s.failed = s.desk.decode(s.in.Form, s.in.Body, func(p tandem.Piece) error {
				select {
				case s.pieces <- p:
					return nil
				case <-s.stop:
					return errMoved
				}
			})
		}()
	})
	return s.pieces
}

// close ends the reading, and waits for it.
func (s *streaming) close() {
	s.start.Do(func() { close(s.pieces) })
	close(s.stop)
	s.in.Hangup()
	for range s.pieces { //nolint:revive // until it is closed
	}
}

// say is what a turn hears, see [turn.Agent].
func (s *streaming) say(ctx context.Context, emit func(tandem.Piece) error) (err error) {
	defer func() { s.heard = err }()
	for {
		select {
		case p, ok := <-s.read():
			if !ok {
				s.broken = s.failed
				return s.failed
			}
			if err := s.take(p); err != nil {
				return err
			}
			if err := emit(p); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take notes what the body says. Who may hand on only to some workflows may not do
// so by a stream either.
func (s *streaming) take(p tandem.Piece) error {
	if h := p.Handoff; h != nil && h.To != "" && h.To != "person" && !s.by.Serves(tandem.ParseWorkflow(s.by.Tenant, h.To)) {
		return errForbidden()
	}
	if n := s.desk.limits.Answer; n <= 0 || s.text.Len() <= n { // beyond, it is too long anyway
		s.text.WriteString(p.Text)
	}
	return nil
}

// ended tells how it ended.
func (s *streaming) ended(end turn.PushedEnd) (Delivery, error) {
	switch end.Finish {
	case tandem.FinishInterrupted, tandem.FinishCancelled:
		return Interrupted, nil
	case tandem.FinishError:
		return "", s.reason(s.heard)
	}
	return Delivered, nil
}

// reason is what who streams is told of a body that did not come to its end.
func (s *streaming) reason(err error) error {
	switch tandem.KindOf(err) {
	case tandem.TooLarge, tandem.Timeout, tandem.Forbidden:
		return err
	}
	if err != nil && err == s.broken {
		return errStream(err)
	}
	return err
}

// keep makes all that the body says one draft, or refuses it. Its data and its
// wishes to hand on are signals, and pass.
func (s *streaming) keep(ctx context.Context) (Delivery, error) {
	d := s.desk
	if d.refuses(s.in.OnHeld) {
		t, err := d.store.Thread(ctx, s.at.home)
		if err != nil {
			return "", err
		}
		return "", errHeld(t.Control)
	}
	spec, has := d.turns.Closest(s.at.home.Tenant, s.at.home.Workflow)
	if !has {
		spec = turn.DefaultSpec("", nil)
	}
	if spec.Total > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, spec.Total)
		defer cancel()
	}
	for {
		p, ok, err := s.await(ctx, spec.Idle)
		if err == nil && ok {
			err = s.signal(ctx, p)
		}
		if err != nil {
			return "", err
		}
		if !ok {
			return s.draft(ctx)
		}
	}
}

// await takes the next piece; ok is false at the end of the body.
func (s *streaming) await(ctx context.Context, idle time.Duration) (p tandem.Piece, ok bool, err error) {
	var late <-chan time.Time
	if idle > 0 {
		timer := time.NewTimer(idle)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case p, ok = <-s.read():
		if !ok && s.failed != nil {
			s.broken = s.failed
			return p, false, s.reason(s.failed)
		}
		return p, ok, nil
	case <-ctx.Done():
	case <-late:
	}
	return p, false, tandem.Errorf(tandem.Timeout, "The stream took too long.")
}

// signal notes a piece of a draft and lets pass what is no speech.
func (s *streaming) signal(ctx context.Context, p tandem.Piece) error {
	if err := s.take(p); err != nil {
		return err
	}
	if n := s.desk.limits.Answer; n > 0 && s.text.Len() > n {
		return tandem.Errorf(tandem.TooLarge, "text cannot exceed %d bytes", n)
	}
	switch {
	case p.Data != nil:
		in := s.in.Push
		in.Type, in.Data = tandem.Data, p.Data
		_, err := s.desk.Push(ctx, s.by, in)
		return err
	case p.Handoff != nil:
		return s.desk.AgentAsks(ctx, s.at.home, s.control.Conversation, *p.Handoff)
	}
	return nil
}

// draft stores what was said. Whatever has changed meanwhile, it came too late
// when it began.
func (s *streaming) draft(ctx context.Context) (Delivery, error) {
	in := s.in.Push
	if in.Text = s.text.String(); in.Text == "" {
		return Delivered, nil // nothing was kept back
	}
	if in.Epoch == nil {
		in.Epoch = &s.control.Epoch
	}
	posted, err := s.desk.Push(ctx, s.by, in)
	if err != nil || !posted.Draft {
		return Delivered, err
	}
	return Draft, nil
}
