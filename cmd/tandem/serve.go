package main

import (
	"errors"
)

// ServeCmd runs the server.
type ServeCmd struct{ serverFlags }

// Run serves until SIGINT or SIGTERM.
func (c ServeCmd) Run(s *session) error {
	source := c.source(s)
	config, err := source.load()
	if err != nil {
		return err
	}
	_ = config
	return errors.New("serve: the faces are not wired yet")
}
