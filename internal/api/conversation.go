package api

import (
	"net/http"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// conversationID is the conversation, or the call, that the path names.
func conversationID(r *http.Request) string { return r.PathValue("conversation_id") }

// snapshot shows a conversation with all of its messages.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	found, err := s.opt.Desk.Snapshot(r.Context(), p, conversationID(r))
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, conversationReply{true, snapshotOf(viewOf(p), wholeOf(&found))})
	return nil
}

// viewOf is how p sees a conversation.
func viewOf(p tandem.Principal) tandem.View {
	return tandem.View{Face: tandem.FaceConversation, Audience: p.Audience()}
}

func wholeOf(s *desk.Snapshot) transcriptOf {
	return transcriptOf{Conversation: &s.Conversation, messages: s.Messages, notes: s.Notes, drafts: s.Drafts, total: s.Total}
}

// replyRow answers with a conversation without its messages.
func replyRow(w http.ResponseWriter, status int, p tandem.Principal, c *desk.Seen) {
	reply(w, status, conversationReply{true, rowOf(p.Audience(), &c.Conversation, c.Place)})
}

type openRequest struct {
	Workflow      string `json:"workflow"`
	ParticipantID string `json:"participant_id"`
	WorkerID      string `json:"worker_id"`
	MobileNo      string `json:"mobile_no"`
	ID            string `json:"conversation_id"`
	CallID        string `json:"call_id"`
	Urgency       string `json:"urgency"`
	Medium        string `json:"medium"`
	Timestamp     string `json:"timestamp"`
	Name          string `json:"name"`
	Opaque        bool   `json:"opaque"`
}

// open begins a conversation: 201, or 200 with the one that goes on already.
func (s *Server) openConversation(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in openRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if in.Workflow == "" {
		return tandem.Errorf(tandem.Invalid, "workflow is required")
	}
	who := first(in.ParticipantID, in.WorkerID)
	if who == "" && in.MobileNo == "" {
		return tandem.Errorf(tandem.Invalid, "participant_id, worker_id or mobile_no is required")
	}
	urgency, err := tandem.ParseUrgency(in.Urgency)
	if err != nil {
		return err
	}
	c, opened, err := s.opt.Desk.Open(r.Context(), p, desk.Opening{
		Address: tandem.Address{Tenant: p.Tenant, Workflow: tandem.ParseWorkflow(p.Tenant, in.Workflow), Participant: who},
		ID:      in.ID, CallID: in.CallID, Medium: in.Medium, Timestamp: in.Timestamp, Name: in.Name, MobileNo: in.MobileNo,
		Urgency: urgency, Opaque: in.Opaque,
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if opened {
		status = http.StatusCreated
	}
	replyRow(w, status, p, &c)
	return nil
}

type changeRequest struct {
	Urgency  *string `json:"urgency"`
	Status   *string `json:"status"`
	Medium   *string `json:"medium"`
	Name     *string `json:"name"`
	CallID   *string `json:"call_id"`
	MobileNo *string `json:"mobile_no"`
}

// change changes what a conversation is known by.
func (s *Server) change(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in changeRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	patch := desk.Patch{Medium: in.Medium, Name: in.Name, CallID: in.CallID, MobileNo: in.MobileNo}
	if in.Urgency != nil {
		urgency, err := tandem.ParseUrgency(*in.Urgency)
		if err != nil || *in.Urgency == "" {
			return tandem.Errorf(tandem.Invalid, "urgency must be NORMAL, URGENT or CRITICAL")
		}
		patch.Urgency = &urgency
	}
	if in.Status != nil {
		status := tandem.Status(strings.ToUpper(*in.Status))
		if status != tandem.StatusActive && status != tandem.StatusEnded {
			return tandem.Errorf(tandem.Invalid, "status must be ACTIVE or ENDED")
		}
		patch.Status = &status
	}
	c, err := s.opt.Desk.Change(r.Context(), p, conversationID(r), patch)
	if err != nil {
		return err
	}
	replyRow(w, http.StatusOK, p, &c)
	return nil
}
