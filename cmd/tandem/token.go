package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// TokenCmd prints a token of the server's own key.
type TokenCmd struct {
	dataFlags
	Tenant   string        `help:"The bearer's tenant, made if it does not exist. Default: the configured one."`
	Subject  string        `required:"" help:"Who the bearer is."`
	Role     string        `required:"" help:"participant, operator, supervisor, agent or owner."`
	Workflow string        `help:"Only this workflow."`
	Session  string        `help:"Only this session."`
	Name     string        `help:"The bearer's display name."`
	TTL      time.Duration `name:"ttl" help:"Its life, such as 12h or 30d. Default: the configured token_ttl."`
}

// Run prints just the token.
func (t TokenCmd) Run(s *session) error {
	if s.given["ttl"] && t.TTL <= 0 {
		return errors.New("ttl: want a time such as 12h or 30d")
	}
	return t.with(s, true, func(c Config, a *auth.Auth) error {
		token, err := a.Mint(s.ctx, auth.MintRequest{
			Tenant: either(t.Tenant, c.Tenant), Subject: t.Subject, Role: tandem.PrincipalRole(t.Role),
			Workflow: t.Workflow, Session: t.Session, Name: t.Name, TTL: t.TTL,
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.out, token.Token.Reveal())
		return err
	})
}
