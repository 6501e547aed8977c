package api

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// streamForm is the media type of a body that is an answer on its way; "" for any
// other body.
func streamForm(r *http.Request) string {
	switch form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); form {
	case "text/event-stream", "application/x-ndjson", "application/ndjson", "application/jsonl":
		return form
	}
	return ""
}

// pushStream shows a participant the body token by token. The body is the answer
// alone, so all else is in the query.
func (s *Server) pushStream(w http.ResponseWriter, r *http.Request, p tandem.Principal, form string) error {
	if p.Role != tandem.Agent && p.Role != tandem.Owner {
		return tandem.Errorf(tandem.Forbidden, "You do not have permission to access this resource")
	}
	in, err := streamOf(r)
	if err != nil {
		return err
	}
	a, err := in.address(p)
	if err != nil {
		return err
	}
	conn := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		// Who is interrupted is told at once, however much is still to come.
		if err := conn.EnableFullDuplex(); err != nil {
			return err
		}
	}
	hangup := func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) } // else the read ends with the connection
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.base, cancel)() // an answer of five minutes must not hold up the end
	delivery, err := s.opt.Desk.Stream(ctx, p, desk.Stream{
		Push: desk.Push{
			Address: a, Scope: in.Scope, RequestID: in.RequestID, Epoch: in.Epoch, OnHeld: in.OnHeld, Key: r.Header.Get("Idempotency-Key"),
		},
		Form: form, Body: r.Body, Hangup: hangup,
	})
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // what is left of the body is not read
	}
	if err != nil {
		return err
	}
	delivered(w, a, delivery)
	return nil
}

// streamOf reads what the query says of a streamed answer.
func streamOf(r *http.Request) (in outbound, err error) {
	q, err := query(r)
	if err != nil {
		return in, err
	}
	in = outbound{
		WorkflowID: q.Get("workflowId"), WorkflowType: q.Get("workflowType"), Workflow: q.Get("workflow"), ParticipantID: q.Get("participantId"),
		TenantID: q.Get("tenantId"), Scope: q.Get("scope"), RequestID: q.Get("requestId"), OnHeld: q.Get("onHeld"),
	}
	if v := q.Get("controlEpoch"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return in, tandem.Errorf(tandem.Invalid, "controlEpoch must be a whole number.")
		}
		in.Epoch = &n
	}
	return in, nil
}
