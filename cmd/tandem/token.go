package main

import (
	"errors"
	"time"
)

// TokenCmd prints a token of the server's own key.
type TokenCmd struct {
	storeFlags
	Tenant   string        `help:"The bearer's tenant; it is created if it does not exist. Empty: the configured one."`
	Subject  string        `required:"" help:"Who the bearer is."`
	Role     string        `required:"" help:"participant, operator, supervisor, agent or owner."`
	Workflow string        `help:"Only this workflow."`
	Session  string        `help:"Only this session."`
	Name     string        `help:"The bearer's display name."`
	TTL      time.Duration `name:"ttl" help:"Its life, such as 12h or 30d. Empty: the configured token_ttl."`
}

// Run prints just the token.
func (c TokenCmd) Run(*session) error { return errors.New("token: not yet") }
