package main

import (
	"fmt"

	"github.com/seed4677ff1f/tandem/internal/auth"
)

// SecretCmd manages the server's own key.
type SecretCmd struct {
	Rotate SecretRotateCmd `cmd:"" help:"Make a new key for the server's own tokens."`
}

// SecretRotateCmd makes a new key.
type SecretRotateCmd struct {
	dataFlags
	Now bool `help:"End every token of the old key at once: for a key that was seen."`
}

// Run rotates; a running server uses the new key within a second.
func (r SecretRotateCmd) Run(s *session) error {
	return r.with(s, false, func(_ Config, a *auth.Auth) error {
		keep, then := auth.MaxAge, "tokens of the old one stay good until they expire"
		if r.Now {
			keep, then = 0, "every token that was given out is worthless now"
		}
		kid, err := a.RotateSecret(s.ctx, keep)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "The new key is %s; %s.\n", kid, then)
		return err
	})
}
