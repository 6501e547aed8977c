package agent

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	tandem "github.com/seed4677ff1f/tandem"
)

// FuzzAnswer: however the network cuts an answer, the same is heard, and never
// more than was sent. It fails if text drops the bytes it holds back, if whole
// replaces a run of bad bytes by one mark, or if ndjson lines are taken by read.
func FuzzAnswer(f *testing.F) {
	types := []string{"text/event-stream", "application/x-ndjson", "text/plain", "application/json"}
	for _, s := range []string{
		"data: one\n\ndata:  two\r\n\r\ndata: [DONE]\n\n",
		"data: {\"token\":\"h\xc3\xa9\"}\n\ndata: {\"x\":1}\n\ndata: {bad",
		"data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"r\",\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"ask_a_person\",\"arguments\":\"{\"}}]},\"finish_reason\":\"stop\"}]}\n\n",
		"{\"token\":\"one\"}\n{\"handoff\":\"person\"}\n[DONE]\n",
		"h\xc3\xa9 \xe2\x82 \xff\xf0\x9f\x98\x80 \xf0\x9f",
		`{"answer":"Yes","sources":["A",{"title":"B"}],"data":{"a":[1]},"error":{"code":5}}`,
		"event: error\ndata: {\"error\":{\"type\":\"t\"}}\n\n",
	} {
		for i := range types {
			f.Add(uint8(i), true, []byte(s), []byte{1, 3, 2})
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, dies bool, body, cuts []byte) {
		contentType := types[int(kind)%len(types)]
		whole := hear(contentType, &cutReader{body: body, cuts: []byte{255}, dies: dies})
		for _, r := range []io.Reader{
			&cutReader{body: body, cuts: cuts, dies: dies},
			iotest.OneByteReader(&cutReader{body: body, cuts: []byte{255}, dies: dies}),
			iotest.DataErrReader(&cutReader{body: body, cuts: cuts, dies: dies}),
		} {
			if got := hear(contentType, r); got != whole {
				t.Errorf("%s:\n got %+v\nwant %+v", contentType, got, whole)
			}
		}
		// A byte is at most one U+FFFD, or a character of a fixed form around it.
		if len(whole.text) > 3*len(body) || whole.pieces > len(body) {
			t.Errorf("%d bytes became %d pieces, %d bytes of text", len(body), whole.pieces, len(whole.text))
		}
	})
}

// A hearing is all that a caller gets of an answer.
type hearing struct {
	text    string // of a text/plain answer, all tokens; else each with its length
	other   string
	pieces  int // text/plain: not counted, since its tokens are the network's
	ignored int
	err     string
}

func hear(contentType string, body io.Reader) (h hearing) {
	plain := contentType == "text/plain"
	a := answer{handoff: true, ended: func() {}, emit: func(p tandem.Piece) error {
		switch {
		case p.Text != "" && plain:
			h.text += p.Text
		case p.Text != "":
			h.text += p.Text
			h.other += fmt.Sprintf("[%d]", len(p.Text))
			h.pieces++
		default:
			h.other += fmt.Sprintf("%s %s %s %s %+v", p.Data, p.Reasoning, p.Tool, p.Sources, p.Handoff != nil)
			h.pieces++
		}
		return nil
	}}
	r := remote{}
	err := r.read(&http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(body)}, &a)
	if err != nil {
		h.err = fmt.Sprint(tandem.KindOf(err), err)
	}
	h.ignored = a.ignored
	return h
}

// A cutReader gives a body in reads of the sizes in cuts, over and over, and at
// its end io.EOF or, if it dies, what a cut connection gives.
type cutReader struct {
	body, cuts []byte
	at         int
	dies       bool
}

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.body) == 0 {
		if r.dies {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, io.EOF
	}
	n := 1
	if len(r.cuts) > 0 {
		n = 1 + int(r.cuts[r.at%len(r.cuts)])
		r.at++
	}
	n = copy(p, r.body[:min(n, len(r.body))])
	r.body = r.body[n:]
	return n, nil
}

func TestCutReader_givesEverything(t *testing.T) {
	got, err := io.ReadAll(&cutReader{body: []byte("hello"), cuts: []byte{0, 2}})
	if !bytes.Equal(got, []byte("hello")) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
