package api

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/ws"
)

// form is how the errors of a surface look. The published documents have these.
type form uint8

const (
	formObject  form = iota // {"error":…,"message":…}
	formBare                // the same, but a 400 is a bare JSON string
	formDetail              // {"detail":…}
	formLogin               // {"success":false,"message":…}, a 429 as formObject
	formSession             // {"message":…,"status":"…"}
)

// shape is what an error kind becomes on every surface. Words are the surface's
// own for clients that read `error`; a fixed sentence stands for whatever the
// error itself says.
type shape struct {
	status   int
	word     string
	sentence string
}

// shapes is the one table of errors.
var shapes = map[tandem.ErrorKind]shape{
	tandem.Internal:     {http.StatusInternalServerError, "Internal server error", "An unexpected error occurred. Please try again later."},
	tandem.Invalid:      {http.StatusBadRequest, "Bad request", ""},
	tandem.Unauthorized: {http.StatusUnauthorized, "Unauthorized", "Authentication is required to access this resource"},
	tandem.Forbidden:    {http.StatusForbidden, "Forbidden", "You do not have permission to access this resource"},
	tandem.NotFound:     {http.StatusNotFound, "Not found", ""},
	tandem.Conflict:     {http.StatusConflict, "Conflict", ""},
	tandem.Held:         {http.StatusConflict, "Held", ""},
	tandem.Mismatch:     {http.StatusUnprocessableEntity, "Key used before", ""},
	tandem.TooLarge:     {http.StatusRequestEntityTooLarge, "Too large", ""},
	tandem.TooMany:      {http.StatusTooManyRequests, "Rate limit exceeded", "Too many requests. Please try again later."},
	tandem.Timeout:      {http.StatusRequestTimeout, "Timeout", ""},
	tandem.Unavailable:  {http.StatusServiceUnavailable, "Service unavailable", ""},
	tandem.Gone:         {http.StatusGone, "Gone", ""},
}

// retryAfter is what a client is told to wait when nobody knows better: the
// document's own example.
const retryAfter = 60 * time.Second

var errPanic = errors.New("panic")

// fail answers with err, if the answer has not begun. What is not meant for
// clients goes to the log with the request's id, and nowhere else.
func (s *Server) fail(rt *route, id string, w *recorder, err error) {
	known := (*tandem.Error)(nil)
	if !errors.As(err, &known) {
		known = &tandem.Error{Kind: tandem.Internal, Err: err}
	}
	if cause := known.Err; known.Kind == tandem.Internal || known.Kind == tandem.Unavailable && cause != nil {
		if errors.Is(err, context.Canceled) || lost(w, err) {
			s.opt.Log.Debug("client gone", "route", rt.pattern, "request", id)
		} else if err != errPanic {
			s.opt.Log.Error("request failed", "route", rt.pattern, "request", id, "err", err)
		}
	}
	if w.status >= http.StatusOK || w.status == http.StatusSwitchingProtocols {
		return
	}
	if hs := (*ws.HandshakeError)(nil); errors.As(err, &hs) {
		for name, values := range hs.Header {
			w.Header()[name] = values
		}
		word := http.StatusText(hs.Status)
		rt.form.write(w, hs.Status, word[:1]+strings.ToLower(word[1:]), hs.Message, 0)
		return
	}
	if known.Kind == tandem.TooMany { // what is not a rate is the count of open streams
		stands := s.crowded()
		if e := (*exhausted)(nil); errors.As(err, &e) {
			stands = e.allowance
		}
		stands.headers(w.Header())
	}
	sh := shapes[known.Kind]
	sentence := known.Message
	if known.Kind == tandem.Internal || sentence == "" || sh.sentence != "" && !rt.form.speaks() {
		sentence = sh.sentence
	}
	if rt.form == formDetail {
		switch {
		case known.Kind == tandem.Internal:
			sentence = textFailed
		case sentence == shapes[tandem.Forbidden].sentence:
			sentence = textDenied
		}
	}
	if known.Kind == tandem.Held {
		rt.form.writeHeld(w, sentence, known.Epoch)
		return
	}
	wait := known.RetryAfter
	if known.Kind.Retryable() && known.Kind != tandem.Timeout {
		wait = max(wait, 0)
		if wait == 0 {
			wait = retryAfter
		}
	} else {
		wait = 0
	}
	if sh.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, section 15.5.2
	}
	rt.form.write(w, sh.status, sh.word, sentence, wait)
}

// lost reports whether err means that the connection ended while it became a
// socket: nobody's mistake, and nobody is there to be told.
func lost(w *recorder, err error) bool {
	broken := (*net.OpError)(nil)
	return w.status == http.StatusSwitchingProtocols && errors.As(err, &broken)
}

// object is the body of an error with two fields, and a third if it is a 429.
type object struct {
	Error      string `json:"error"`
	Message    string `json:"message"`
	RetryAfter string `json:"retryAfter,omitempty"`
}

type detail struct {
	Detail string `json:"detail"`
}

// textFailed is the conversation API's word for what is our fault.
const textFailed = "Failed to retrieve conversation"

// heldObject and heldDetail tell a back end whose words were refused the control
// epoch as it is now.
type heldObject struct {
	object
	Epoch int64 `json:"controlEpoch"`
}

type heldDetail struct {
	detail
	Epoch int64 `json:"control_epoch"`
}

func (f form) writeHeld(w http.ResponseWriter, sentence string, epoch int64) {
	sh := shapes[tandem.Held]
	if f == formDetail {
		reply(w, sh.status, heldDetail{detail{sentence}, epoch})
		return
	}
	reply(w, sh.status, heldObject{object{Error: sh.word, Message: sentence}, epoch})
}

// refused is the body of an error of the session events: its status is a string.
type refused struct {
	Message string `json:"message"`
	Status  string `json:"status"`
}

type failure struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// speaks reports whether a form shows the sentence of each error: the others have
// a fixed one for what is refused.
func (f form) speaks() bool { return f == formDetail || f == formLogin || f == formSession }

// write answers with an error in this form. wait, if any, is rounded up to whole
// seconds, at least one.
func (f form) write(w http.ResponseWriter, status int, word, sentence string, wait time.Duration) {
	seconds := ""
	if wait > 0 {
		seconds = strconv.FormatInt(max(1, int64(math.Ceil(wait.Seconds()))), 10)
		w.Header().Set("Retry-After", seconds)
	}
	var body any
	switch {
	case f == formDetail:
		body = detail{sentence}
	case f == formSession:
		body = refused{sentence, strconv.Itoa(status)}
	case f == formBare && status == http.StatusBadRequest:
		body = sentence
	case status == http.StatusTooManyRequests:
		body = object{word, sentence, seconds}
	case f == formLogin:
		body = failure{false, sentence}
	default:
		body = object{word, sentence, ""}
	}
	reply(w, status, body)
}
