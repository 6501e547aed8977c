package main

import "errors"

// RevokeCmd revokes tokens.
type RevokeCmd struct {
	storeFlags
	JTI     string `name:"jti" xor:"what" required:"" help:"The token with this id (its claim jti)."`
	Subject string `xor:"what" required:"" help:"Every token of this subject that was made until now."`
	Tenant  string `help:"The tenant. Empty: the configured one."`
}

// Run revokes; a running server ends the streams within a second.
func (c RevokeCmd) Run(*session) error { return errors.New("revoke: not yet") }
