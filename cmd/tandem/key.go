package main

import (
	"errors"
	"time"

	"github.com/seed4677ff1f/tandem"
)

// KeyCmd manages API keys.
type KeyCmd struct {
	Create KeyCreateCmd `cmd:"" help:"Create a key and print it, this once."`
	List   KeyListCmd   `cmd:"" help:"List keys, without their secrets."`
	Revoke KeyRevokeCmd `cmd:"" help:"Make a key worthless."`
}

// KeyCreateCmd creates an API key.
type KeyCreateCmd struct {
	storeFlags
	Tenant   string        `help:"The key's tenant; it is created if it does not exist. Empty: the configured one."`
	Role     string        `required:"" help:"agent, participant, operator, supervisor or owner."`
	Workflow string        `help:"Only this workflow."`
	Subject  string        `help:"Only this participant (role participant), or the key's name."`
	TTL      time.Duration `name:"ttl" help:"Its life, such as 90d. Empty: until it is revoked."`
	Rate     tandem.Rate   `help:"Requests that it may make, such as 600/1m. Empty: agent keys have no limit."`
}

// Run prints just the key.
func (c KeyCreateCmd) Run(*session) error { return errors.New("key: not yet") }

// KeyListCmd lists API keys.
type KeyListCmd struct {
	storeFlags
	Tenant string `help:"Only this tenant's."`
}

// Run prints a table.
func (c KeyListCmd) Run(*session) error { return errors.New("key: not yet") }

// KeyRevokeCmd revokes an API key.
type KeyRevokeCmd struct {
	storeFlags
	ID string `arg:"" help:"The key's id, as key list shows it."`
}

// Run revokes it; a running server ends its streams within a second.
func (c KeyRevokeCmd) Run(*session) error { return errors.New("key: not yet") }
