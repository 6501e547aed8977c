package main

import (
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// RevokeCmd revokes tokens.
type RevokeCmd struct {
	dataFlags
	JTI     string `name:"jti" xor:"what" required:"" help:"The token with this id (its claim jti)."`
	Subject string `xor:"what" required:"" help:"All that this subject was given until now: tokens, tickets, and the keys of a participant."`
	Tenant  string `help:"The tenant. Default: the configured one."`
}

// Run revokes; a running server ends the streams within a second.
func (r RevokeCmd) Run(s *session) error {
	return r.with(s, false, func(c Config, a *auth.Auth) error {
		tenant := either(r.Tenant, c.Tenant)
		if r.JTI != "" {
			return a.RevokeToken(s.ctx, tenant, r.JTI)
		}
		return a.RevokeSubject(s.ctx, tenant, r.Subject)
	})
}
