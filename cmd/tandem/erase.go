package main

import (
	"fmt"
	"time"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// EraseCmd erases what was said.
type EraseCmd struct {
	dataFlags
	Tenant      string `help:"The participant's tenant. Default: the configured one."`
	Participant string `required:"" help:"Whose words."`
	Workflow    string `help:"Only this workflow's thread. Default: all of the participant's threads, sessions and what waits for one too."`
}

// Run erases, and prints how many threads it was. A running server forgets them
// within a second.
func (e EraseCmd) Run(s *session) error {
	return e.withStore(s, false, func(c Config, data *store.Store, _ *auth.Auth) error {
		tenant := either(e.Tenant, c.Tenant)
		threads, err := data.ThreadsOf(s.ctx, tenant, e.Participant)
		if err != nil {
			return err
		}
		by := tandem.Principal{Tenant: tenant, Subject: "tandem erase", Role: tandem.Owner, Kind: tandem.CredentialSystem}
		n := 0
		for _, a := range threads {
			if e.Workflow != "" && a.Workflow != tandem.ParseWorkflow(tenant, e.Workflow) {
				continue
			}
			_, err := data.Append(s.ctx, desk.Erasing(by, a, time.Now()))
			if err != nil && tandem.KindOf(err) != tandem.NotFound { // erased before
				return err
			}
			if err == nil {
				n++
			}
		}
		if n == 0 {
			return fmt.Errorf("there is nothing of %s in the tenant %s", e.Participant, tenant)
		}
		_, err = fmt.Fprintln(s.out, n)
		return err
	})
}
