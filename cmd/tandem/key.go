package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// KeyCmd manages API keys.
type KeyCmd struct {
	Create KeyCreateCmd `cmd:"" help:"Create a key and print it, this once."`
	List   KeyListCmd   `cmd:"" help:"List keys, without the keys themselves."`
	Revoke KeyRevokeCmd `cmd:"" help:"Make a key worthless."`
}

// KeyCreateCmd creates an API key.
type KeyCreateCmd struct {
	dataFlags
	Tenant   string        `help:"The key's tenant, made if it does not exist. Default: the configured one."`
	Role     string        `required:"" help:"agent, participant, operator, supervisor or owner."`
	Workflow string        `help:"Only this workflow."`
	Subject  string        `help:"Only this participant; for role participant."`
	Name     string        `help:"What people know it by."`
	TTL      time.Duration `name:"ttl" help:"Its life, such as 90d. Default: until it is revoked."`
	Rate     tandem.Rate   `help:"Requests that it may make, such as 600/1m. Default: that of its role; an agent's key has no limit."`
}

// Run prints just the key.
func (k KeyCreateCmd) Run(s *session) error {
	if s.given["ttl"] && k.TTL <= 0 {
		return errors.New("ttl: want a time such as 12h or 30d")
	}
	return k.with(s, true, func(c Config, a *auth.Auth) error {
		secret, _, err := a.CreateKey(s.ctx, auth.KeyRequest{
			Tenant: either(k.Tenant, c.Tenant), Name: k.Name, Role: tandem.PrincipalRole(k.Role),
			Workflow: k.Workflow, Subject: k.Subject, Rate: k.Rate, TTL: k.TTL,
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.out, secret.Reveal())
		return err
	})
}

// KeyListCmd lists API keys.
type KeyListCmd struct {
	dataFlags
	Tenant string `help:"Only this tenant's."`
}

// Run prints a table, oldest first.
func (k KeyListCmd) Run(s *session) error {
	return k.with(s, false, func(_ Config, a *auth.Auth) error {
		keys, err := a.ListKeys(s.ctx, k.Tenant)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tTENANT\tROLE\tNAME\tWORKFLOW\tSUBJECT\tCREATED\tSTATE\tSEEN IN A BROWSER")
		for _, key := range keys {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", key.ID, key.Tenant, key.Role, either(key.Name, "-"),
				either(key.Workflow, "*"), either(key.Subject, "*"), date(key.Created), keyState(key, time.Now()), date(key.Seen))
		}
		return table.Flush()
	})
}

func keyState(key auth.Key, now time.Time) string {
	switch {
	case !key.Revoked.IsZero():
		return "revoked " + date(key.Revoked)
	case key.Expires.IsZero():
		return "good"
	case key.Expires.Before(now):
		return "expired " + date(key.Expires)
	}
	return "good until " + date(key.Expires)
}

// date is the day of t in UTC; of no time a dash.
func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// KeyRevokeCmd revokes an API key.
type KeyRevokeCmd struct {
	dataFlags
	ID     string `arg:"" help:"The key's id, as key list shows it."`
	Tenant string `help:"Only if it is of this tenant."`
}

// Run revokes it; a running server ends its streams within a second.
func (k KeyRevokeCmd) Run(s *session) error {
	return k.with(s, false, func(_ Config, a *auth.Auth) error {
		return a.RevokeKey(s.ctx, k.Tenant, k.ID)
	})
}
