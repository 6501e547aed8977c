package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// UserCmd manages the accounts of people who sign in.
type UserCmd struct {
	Add     UserAddCmd     `cmd:"" help:"Make an account and print its password, this once."`
	List    UserListCmd    `cmd:"" help:"List accounts."`
	Disable UserDisableCmd `cmd:"" help:"Keep an account from signing in; what it was given ends within a second."`
	Enable  UserEnableCmd  `cmd:"" help:"Let a disabled account sign in again."`
	Passwd  UserPasswdCmd  `cmd:"" help:"Give an account a new password and print it, this once."`
}

// passwordFlag says where a password comes from.
type passwordFlag struct {
	PasswordStdin bool `help:"Read the password from the standard input instead of making one."`
}

// read returns the password that is to be set. made reports whether it is a new
// one, which somebody has to be told.
func (f passwordFlag) read(s *session) (password auth.Secret, made bool, err error) {
	if !f.PasswordStdin {
		return auth.NewPassword(), true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(s.in, 2*auth.MaxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read the password: %w", err)
	}
	return auth.Secret(strings.TrimRight(line, "\r\n")), false, nil
}

// tell prints a password that was made, and nothing else.
func tell(s *session, password auth.Secret, made bool) error {
	if !made {
		return nil
	}
	_, err := fmt.Fprintln(s.out, password.Reveal())
	return err
}

// UserAddCmd makes an account.
type UserAddCmd struct {
	dataFlags
	passwordFlag
	Username string   `arg:"" name:"name" help:"What it signs in with, and its subject: letters, digits and . _ - + @."`
	Tenant   string   `help:"Its tenant, made if it does not exist. Default: the configured one."`
	Role     string   `required:"" help:"participant, operator, supervisor or owner."`
	Email    string   `help:"E-mail address; signs in too."`
	Name     string   `help:"What others see. Default: Support, for those who answer."`
	Workflow []string `sep:"none" help:"Only this workflow; may be given more than once."`
}

// Run prints just the password, unless it was read.
func (u UserAddCmd) Run(s *session) error {
	password, made, err := u.read(s)
	if err != nil {
		return err
	}
	return u.with(s, true, func(c Config, a *auth.Auth) error {
		if _, err := a.CreateAccount(s.ctx, auth.AccountRequest{
			Tenant: either(u.Tenant, c.Tenant), Username: u.Username, Email: u.Email, Name: u.Name,
			Role: tandem.PrincipalRole(u.Role), Workflows: u.Workflow, Password: password,
		}); err != nil {
			return err
		}
		return tell(s, password, made)
	})
}

// UserListCmd lists accounts.
type UserListCmd struct {
	dataFlags
	Tenant string `help:"Whose. Default: the configured one."`
}

// Run prints a table, by name.
func (u UserListCmd) Run(s *session) error {
	return u.with(s, false, func(c Config, a *auth.Auth) error {
		list, err := a.Accounts(s.ctx, either(u.Tenant, c.Tenant))
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "USERNAME\tROLE\tNAME\tEMAIL\tWORKFLOWS\tCREATED\tSTATE")
		for _, one := range list {
			state := "good"
			if !one.Disabled.IsZero() {
				state = "disabled " + date(one.Disabled)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.Username, one.Role, either(one.Name, "-"),
				either(one.Email, "-"), either(strings.Join(one.Workflows, ","), "*"), date(one.Created), state)
		}
		return table.Flush()
	})
}

// whose names an account.
type whose struct {
	dataFlags
	Username string `arg:"" name:"name" help:"Its username."`
	Tenant   string `help:"Its tenant. Default: the configured one."`
}

func (w whose) change(s *session, to auth.AccountChange) error {
	return w.with(s, false, func(c Config, a *auth.Auth) error {
		_, err := a.ChangeAccount(s.ctx, either(w.Tenant, c.Tenant), w.Username, to)
		return err
	})
}

// UserDisableCmd disables an account.
type UserDisableCmd struct{ whose }

// Run disables it; a running server ends its streams within a second.
func (u UserDisableCmd) Run(s *session) error {
	yes := true
	return u.change(s, auth.AccountChange{Disabled: &yes})
}

// UserEnableCmd enables an account.
type UserEnableCmd struct{ whose }

// Run enables it.
func (u UserEnableCmd) Run(s *session) error {
	no := false
	return u.change(s, auth.AccountChange{Disabled: &no})
}

// UserPasswdCmd changes a password.
type UserPasswdCmd struct {
	whose
	passwordFlag
}

// Run prints just the password, unless it was read; a running server ends the
// account's streams within a second.
func (u UserPasswdCmd) Run(s *session) error {
	password, made, err := u.read(s)
	if err != nil {
		return err
	}
	if err := u.change(s, auth.AccountChange{Password: &password}); err != nil {
		return err
	}
	return tell(s, password, made)
}
