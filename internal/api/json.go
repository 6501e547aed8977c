package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	tandem "github.com/seed4677ff1f/tandem"
)

// encode writes v as JSON in the fewest bytes: <, > and & stay as they are, since
// nothing here is pasted into HTML. It is only given what can be encoded.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("api: cannot encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, v any) {
	body := encode(v)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who has gone reads no error
}

// stamp is the time as every face writes it: ISO 8601, UTC, to the second as the
// documents' examples have it, or to the millisecond if it has any.
func stamp(t time.Time) string {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

// orNull is nil, which becomes null, for "".
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// stampOrNull is nil, which becomes null, for no time.
func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return orNull(stamp(t))
}

// body reads a request's whole body, up to the limit.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	from := r.Body
	if n := s.opt.Limits.Body; n > 0 {
		from = http.MaxBytesReader(w, from, int64(n))
	}
	b, err := io.ReadAll(from)
	if over := (*http.MaxBytesError)(nil); errors.As(err, &over) {
		s.opt.Metric.HTTP.Limited.Of("body").Inc()
		return nil, tandem.Errorf(tandem.TooLarge, "The body cannot exceed %d bytes.", over.Limit)
	}
	if err != nil {
		return nil, &tandem.Error{Kind: tandem.Invalid, Message: "The body could not be read.", Err: err}
	}
	if !utf8.Valid(b) { // encoding/json would put other characters in place of the wrong ones
		return nil, tandem.Errorf(tandem.Invalid, "The body is not valid UTF-8.")
	}
	return b, nil
}

// decode reads a JSON object from the body into v. Fields that it does not know
// are left alone.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := s.body(w, r)
	if err != nil {
		return err
	}
	return unmarshal(b, v)
}

// decodeAny is decode for a body that may be left out.
func (s *Server) decodeAny(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := s.body(w, r)
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return err
	}
	return unmarshal(b, v)
}

func unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
		field := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:] // before it may be names of ours
		return &tandem.Error{Kind: tandem.Invalid, Message: "In the body, " + field + " has the wrong type.", Err: err}
	}
	if err != nil {
		return &tandem.Error{Kind: tandem.Invalid, Message: "The body is not a valid JSON object.", Err: err}
	}
	return nil
}

// query reads the query. What net/http drops in silence is an error here: half of
// a mistyped query would mean something else.
func query(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &tandem.Error{Kind: tandem.Invalid, Message: "The query is malformed.", Err: err}
	}
	return q, nil
}

// number reads a whole number out of the query; def if it is not there.
func number(q url.Values, name string, def int) (int, error) {
	v := q.Get(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, tandem.Errorf(tandem.Invalid, "%s must be a whole number.", name)
	}
	return n, nil
}
