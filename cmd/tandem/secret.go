package main

import "errors"

// SecretCmd manages the server's own key.
type SecretCmd struct {
	Rotate SecretRotateCmd `cmd:"" help:"Make a new key for tokens; tokens of the old one stay good until they expire."`
}

// SecretRotateCmd makes a new key.
type SecretRotateCmd struct{ storeFlags }

// Run rotates; a running server uses the new key within a second.
func (c SecretRotateCmd) Run(*session) error { return errors.New("secret: not yet") }
