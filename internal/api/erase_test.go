package api_test

import (
	"net/http"
	"strings"
	"testing"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desktest"
)

func TestDeleteThread_asksWhoItIs(t *testing.T) {
	s := open(t, desktest.Options{})
	const path = "/api/user/rest/thread?workflow=support&participantId=ann"
	ann, bob := s.Token("ann", tandem.Participant), s.Token("bob", tandem.Participant)
	root, key := s.Token("root", tandem.Owner), s.Key(tandem.Agent)
	if body := s.must(http.StatusNotFound, http.MethodDelete, path, ann, ""); body != `{"error":"Thread not found"}` {
		t.Errorf("nothing to delete: %s", body)
	}
	s.must(http.StatusOK, http.MethodPost, "/api/user/rest/send?workflow=support&participantId=ann&type=Chat&text=my+secret", ann, "")
	s.must(http.StatusForbidden, http.MethodDelete, path, bob, "")
	s.must(http.StatusForbidden, http.MethodDelete, path, key, "")
	s.must(http.StatusBadRequest, http.MethodDelete, "/api/user/rest/thread?workflow=support", ann, "")
	s.must(http.StatusBadRequest, http.MethodDelete, "/api/user/rest/thread?workflow=$sessions&participantId=ann", root, "")
	if body := s.must(http.StatusOK, http.MethodDelete, path, ann, ""); body != "true" {
		t.Errorf("deleted: %s", body)
	}
	const history = "/api/user/rest/history?workflow=support&participantId=ann"
	if body := s.must(http.StatusOK, http.MethodGet, history, ann, ""); body != "[]" {
		t.Errorf("the participant reads %s", body)
	}
	if body := s.must(http.StatusOK, http.MethodGet, history, key, ""); !strings.Contains(body, "my secret") {
		t.Errorf("the back end reads %s", body)
	}
	s.must(http.StatusOK, http.MethodDelete, path, root, "")
	if body := s.must(http.StatusOK, http.MethodGet, history, key, ""); body != "[]" {
		t.Errorf("after the erasure the back end reads %s", body)
	}
	s.must(http.StatusNotFound, http.MethodDelete, path, root, "")
	if body := s.must(http.StatusOK, http.MethodGet, "/api/admin/audit?action=erase", root, ""); !strings.Contains(body, `"principal":"root"`) || strings.Contains(body, "secret") {
		t.Errorf("the audit says %s", body)
	}
}
