package api

import (
	"net/http"
	"strings"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// sayingRequest is one message for a conversation.
type sayingRequest struct {
	Content   *string     `json:"content"`
	Role      tandem.Role `json:"role"`
	Audience  string      `json:"audience"`
	Sources   string      `json:"sources"`
	Timestamp string      `json:"timestamp"`
	ID        string      `json:"message_id"`
	Medium    string      `json:"medium"`
	Spoken    bool        `json:"spoken"`
	Answer    bool        `json:"answer"`
	AdminID   string      `json:"admin_id"`
	RequestID string      `json:"request_id"`
}

// sayRequest is one message, or several that are stored together or not at all.
type sayRequest struct {
	sayingRequest
	Messages []sayingRequest `json:"messages"`
	Epoch    *int64          `json:"control_epoch"`
	OnHeld   string          `json:"on_held"`
}

func (in *sayingRequest) saying() (desk.Saying, error) {
	if in.Content == nil {
		return desk.Saying{}, tandem.Errorf(tandem.Invalid, "content is required")
	}
	return desk.Saying{
		ID: in.ID, Role: tandem.Role(strings.ToLower(string(in.Role))), Content: *in.Content, Audience: in.Audience, Sources: in.Sources,
		Timestamp: in.Timestamp, Medium: in.Medium, RequestID: in.RequestID, AdminID: in.AdminID, Spoken: in.Spoken, Answer: in.Answer,
	}, nil
}

// sayings are the messages of a request, in order.
func (in *sayRequest) sayings() ([]desk.Saying, error) {
	list := in.Messages
	switch {
	case list == nil:
		list = []sayingRequest{in.sayingRequest}
	case in.sayingRequest != (sayingRequest{}):
		return nil, tandem.Errorf(tandem.Invalid, "messages cannot stand beside the fields of a single message")
	}
	out := make([]desk.Saying, len(list))
	for i := range list {
		var err error
		if out[i], err = list[i].saying(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type saidReply struct {
	Success  bool                  `json:"success"`
	Messages []conversationMessage `json:"messages"`
}

// say stores messages in a conversation.
func (s *Server) say(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in sayRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	messages, err := in.sayings()
	if err != nil {
		return err
	}
	takeover, err := flag(r, "takeover")
	if err != nil {
		return err
	}
	said, err := s.opt.Desk.Say(r.Context(), p, desk.Say{
		Conversation: conversationID(r), Messages: messages, Epoch: in.Epoch, OnHeld: in.OnHeld,
		Key: r.Header.Get("Idempotency-Key"), Locale: localeOf(p, r), Takeover: takeover,
	})
	if err != nil {
		return err
	}
	replySaid(w, &said)
	return nil
}

// replySaid answers with what was stored, and whether the participant is shown it.
func replySaid(w http.ResponseWriter, said *desk.Said) {
	delivery := "delivered"
	if said.Draft {
		delivery = "draft"
	}
	w.Header().Set("Tandem-Delivery", delivery)
	reply(w, http.StatusCreated, saidReply{true, ownWords(said)})
}

// ownWords are what was stored, as whoever said it sees it, whoever else does.
func ownWords(said *desk.Said) []conversationMessage {
	v := tandem.View{Face: tandem.FaceConversation, Audience: tandem.Operators}
	return messagesOf(viewOn(v, &said.Conversation), said.Events)
}

type contentRequest struct {
	Content *string `json:"content"`
}

type steeredReply struct {
	Success bool                `json:"success"`
	Message conversationMessage `json:"message"`
}

// steer tells the agent something that the participant does not see.
func (s *Server) steer(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in contentRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if in.Content == nil {
		return tandem.Errorf(tandem.Invalid, "content is required")
	}
	said, err := s.opt.Desk.Steer(r.Context(), p, conversationID(r), *in.Content)
	if err != nil {
		return err
	}
	out := ownWords(&said)
	if len(out) != 1 {
		return tandem.Errorf(tandem.Internal, "a steer is one message, and not %d", len(out))
	}
	reply(w, http.StatusCreated, steeredReply{true, out[0]})
	return nil
}

// sendDraft makes an agent's draft the words of the operator who holds the
// conversation: as it is, or with other words.
func (s *Server) sendDraft(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in contentRequest
	if err := s.decodeAny(w, r, &in); err != nil {
		return err
	}
	said, err := s.opt.Desk.SendDraft(r.Context(), p, conversationID(r), r.PathValue("message_id"), in.Content)
	if err != nil {
		return err
	}
	replySaid(w, &said)
	return nil
}

// dropDraft takes a draft away.
func (s *Server) dropDraft(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	if err := s.opt.Desk.DropDraft(r.Context(), p, conversationID(r), r.PathValue("message_id")); err != nil {
		return err
	}
	reply(w, http.StatusOK, done{true})
	return nil
}

type typingRequest struct {
	Stopped bool `json:"stopped"`
}

// typing tells who follows the conversation that somebody types, or has stopped.
func (s *Server) typing(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in typingRequest
	if err := s.decodeAny(w, r, &in); err != nil {
		return err
	}
	if err := s.opt.Desk.Typing(r.Context(), p, conversationID(r), in.Stopped); err != nil {
		return err
	}
	reply(w, http.StatusOK, done{true})
	return nil
}

type readRequest struct {
	MessageID string `json:"message_id"`
	Delivered bool   `json:"delivered"`
}

// markRead notes how far somebody has read, or with delivered has got.
func (s *Server) markRead(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	var in readRequest
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	if in.MessageID == "" {
		return tandem.Errorf(tandem.Invalid, "message_id is required")
	}
	if err := s.opt.Desk.Read(r.Context(), p, conversationID(r), in.MessageID, in.Delivered); err != nil {
		return err
	}
	reply(w, http.StatusOK, done{true})
	return nil
}
