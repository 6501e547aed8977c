package api

import (
	"encoding/json"
	"net/http"
	"net/url"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// outbound is what an agent or a back end pushes. Of the three names of the
// workflow the first that is set counts.
type outbound struct {
	WorkflowID    string          `json:"workflowId"`
	WorkflowType  string          `json:"workflowType"`
	Workflow      string          `json:"workflow"`
	ParticipantID string          `json:"participantId"`
	TenantID      string          `json:"tenantId"`
	Text          string          `json:"text"`
	Data          json.RawMessage `json:"data"`
	Scope         string          `json:"scope"`
	Hint          string          `json:"hint"`
	RequestID     string          `json:"requestId"`

	// Of speech; see docs/agents.md. A question calls the first control_epoch.
	Epoch  *int64 `json:"controlEpoch"`
	Epoch2 *int64 `json:"control_epoch"`
	OnHeld string `json:"onHeld"`
	Spoken bool   `json:"spoken"`

	// Of a handoff.
	TargetID   string `json:"targetWorkflowId"`
	TargetType string `json:"targetWorkflowType"`
	To         string `json:"to"`
	FromAgent  string `json:"fromAgent"`
	ToAgent    string `json:"toAgent"`
	Reason     string `json:"reason"`
	Urgency    string `json:"urgency"`
}

// outboundOf reads a push and the thread that it goes to. Only agents push, and
// owners for them.
func (s *Server) outboundOf(w http.ResponseWriter, r *http.Request, p tandem.Principal) (in outbound, a tandem.Address, err error) {
	if p.Role != tandem.Agent && p.Role != tandem.Owner {
		return in, a, tandem.Errorf(tandem.Forbidden, "You do not have permission to access this resource")
	}
	if err := s.decode(w, r, &in); err != nil {
		return in, a, err
	}
	a, err = in.address(p)
	return in, a, err
}

// address is the thread that it goes to.
func (in *outbound) address(p tandem.Principal) (a tandem.Address, err error) {
	if err := ownTenant(p, in.TenantID); err != nil {
		return a, err
	}
	workflow := first(in.WorkflowID, in.WorkflowType, in.Workflow)
	if workflow == "" {
		return a, tandem.Errorf(tandem.Invalid, "Workflow is required.")
	}
	if in.ParticipantID == "" {
		return a, tandem.Errorf(tandem.Invalid, "ParticipantId is required.")
	}
	return tandem.NewAddress(p.Tenant, tandem.ParseWorkflow(p.Tenant, workflow), in.ParticipantID)
}

// first is the first of the values that is set.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// push shows a participant a message of this type.
func (s *Server) push(w http.ResponseWriter, r *http.Request, p tandem.Principal, t tandem.MessageType) error {
	if form := streamForm(r); form != "" && t == tandem.Chat {
		return s.pushStream(w, r, p, form)
	}
	in, a, err := s.outboundOf(w, r, p)
	if err != nil {
		return err
	}
	if t == tandem.File {
		if err := checkFile(in.Data); err != nil {
			return err
		}
	}
	posted, err := s.opt.Desk.Push(r.Context(), p, desk.Push{
		Address: a, Type: t, Text: in.Text, Data: in.Data, Hint: in.Hint, Scope: in.Scope, RequestID: in.RequestID,
		Key: r.Header.Get("Idempotency-Key"), Epoch: in.epoch(), OnHeld: in.OnHeld, Spoken: in.Spoken,
	})
	if err != nil {
		return err
	}
	delivery := desk.Delivered
	if posted.Draft {
		delivery = desk.Draft
	}
	delivered(w, a, delivery)
	return nil
}

// epoch is the control epoch that the sender knows; nil: none was given.
func (in *outbound) epoch() *int64 {
	if in.Epoch != nil {
		return in.Epoch
	}
	return in.Epoch2
}

// checkFile refuses the data of a file that no page could show: it is an object
// with a url, of this server's or of the web's. Pages put it into a link, so it is
// no place for a script.
func checkFile(data json.RawMessage) error {
	var f struct {
		URL  string `json:"url"`
		Name string `json:"name"`
		Mime string `json:"mime"`
		Size int64  `json:"size"`
	}
	if json.Unmarshal(data, &f) != nil || f.URL == "" || f.Size < 0 {
		return tandem.Errorf(tandem.Invalid, "A file needs data with url, and if known name, mime and size.")
	}
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return tandem.Errorf(tandem.Invalid, "The url of a file must be http, https or relative.")
	}
	return nil
}

// handoff passes a participant on to another workflow or asks for a person.
func (s *Server) handoff(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	in, a, err := s.outboundOf(w, r, p)
	if err != nil {
		return err
	}
	esc, err := s.escalationOf(r, in, a)
	if err != nil {
		return err
	}
	target := first(in.TargetID, in.TargetType)
	switch {
	case target == "" && in.To == "person":
		if _, _, err := s.opt.Desk.Escalate(r.Context(), p, esc); err != nil {
			return err
		}
		delivered(w, a, desk.Delivered)
		return nil
	case target == "" || in.To != "":
		return tandem.Errorf(tandem.Invalid, `A handoff needs targetWorkflowType, targetWorkflowId or "to":"person".`)
	}
	to, err := tandem.NewAddress(p.Tenant, tandem.ParseWorkflow(p.Tenant, target), in.ParticipantID)
	if err != nil {
		return err
	}
	if _, err := s.opt.Desk.Handoff(r.Context(), p, esc, to); err != nil {
		return err
	}
	delivered(w, to, desk.Delivered)
	return nil
}

// escalationOf reads what both kinds of handoff say. The document's example has
// the three fields in data: there they are taken from too.
func (s *Server) escalationOf(r *http.Request, in outbound, a tandem.Address) (desk.Escalation, error) {
	var d tandem.HandoffData
	if len(in.Data) > 0 && json.Unmarshal(in.Data, &d) != nil {
		return desk.Escalation{}, tandem.Errorf(tandem.Invalid, "The data of a handoff is an object with fromAgent, toAgent and reason.")
	}
	if n := s.opt.Limits.Answer; n > 0 && len(in.Text) > n {
		return desk.Escalation{}, tandem.Errorf(tandem.TooLarge, "text cannot exceed %d bytes", n)
	}
	urgency, err := tandem.ParseUrgency(first(in.Urgency, string(d.Urgency)))
	return desk.Escalation{
		Address: a, Reason: first(in.Reason, d.Reason), Urgency: urgency,
		FromAgent: first(in.FromAgent, d.FromAgent), ToAgent: first(in.ToAgent, d.ToAgent),
		Data: in.Data, Hint: in.Hint, Text: in.Text, Key: r.Header.Get("Idempotency-Key"), RequestID: in.RequestID, Scope: in.Scope,
	}, err
}

// delivered answers a push that was stored, and says what the participant sees of
// it: all (delivered), nothing (draft), or what came before a colleague took over
// (interrupted).
func delivered(w http.ResponseWriter, a tandem.Address, delivery desk.Delivery) {
	w.Header().Set("Tandem-Delivery", string(delivery))
	reply(w, http.StatusOK, a.ThreadID())
}
