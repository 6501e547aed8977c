package api

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// defaultAudit is how many entries a page of the audit has if nobody says.
const defaultAudit = 50

// auditReply is an entry of the audit as owners see it.
type auditReply struct {
	ID           string  `json:"id"`
	At           string  `json:"at"`
	Action       string  `json:"action"`
	Principal    *string `json:"principal"`  // null: a command, or nobody who is known
	Role         *string `json:"role"`       // of the principal
	Credential   string  `json:"credential"` // what it came with; system: a command, or Tandem itself
	Conversation *string `json:"conversation"`
	Object       *string `json:"object"`
	From         *string `json:"from"`
}

type auditList struct {
	Success bool         `json:"success"`
	Entries []auditReply `json:"entries"`
	Cursor  *string      `json:"cursor"`
}

// audit lists who did what in the tenant, newest first.
func (s *Server) audit(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	f := auth.AuditFilter{Action: q.Get("action"), Principal: q.Get("principal"), Conversation: q.Get("conversation"), Cursor: q.Get("cursor")}
	if f.Limit, err = pageSize(q, "limit", defaultAudit, s.opt.Limits.Page); err != nil {
		return err
	}
	if f.Since, err = moment(q, "since"); err != nil {
		return err
	}
	if f.Until, err = moment(q, "until"); err != nil {
		return err
	}
	list, next, err := s.opt.Auth.Audits(r.Context(), p.Tenant, f)
	if err != nil {
		return err
	}
	replyAudit(w, list, next)
	return nil
}

// conversationAudit lists who did what to a conversation, newest first.
func (s *Server) conversationAudit(w http.ResponseWriter, r *http.Request, p tandem.Principal) error {
	q, err := query(r)
	if err != nil {
		return err
	}
	limit, err := pageSize(q, "limit", defaultAudit, s.opt.Limits.Page)
	if err != nil {
		return err
	}
	before, err := number(q, "cursor", 0)
	if err != nil {
		return err
	}
	if before < 1 && q.Get("cursor") != "" {
		return tandem.Errorf(tandem.Invalid, "not a cursor")
	}
	list, next, err := s.opt.Desk.Audit(r.Context(), p, conversationID(r), int64(before), limit)
	if err != nil {
		return err
	}
	cursor := ""
	if next > 0 {
		cursor = strconv.FormatInt(next, 10)
	}
	replyAudit(w, list, cursor)
	return nil
}

func replyAudit(w http.ResponseWriter, list []auth.Audit, next string) {
	out := auditList{true, make([]auditReply, len(list)), orNull(next)}
	for i, e := range list {
		out.Entries[i] = auditReply{
			ID: e.ID, At: stamp(e.At), Action: e.Action, Principal: orNull(e.Principal), Role: orNull(string(e.Role)),
			Credential: string(e.Credential), Conversation: orNull(e.Conversation), Object: orNull(e.Object), From: orNull(e.From),
		}
	}
	reply(w, http.StatusOK, out)
}

// moment reads a time out of the query; zero if it is not there.
func moment(q url.Values, name string) (time.Time, error) {
	v := q.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return t, tandem.Errorf(tandem.Invalid, "%s must be a time such as 2026-01-31T09:30:00Z.", name)
	}
	return t, nil
}
