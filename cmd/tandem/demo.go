package main

import "errors"

// DemoCmd runs a server with example data.
type DemoCmd struct {
	Agent string `placeholder:"URL" help:"Your own agent, instead of the built-in one."`
}

// Run serves until Ctrl-C.
func (c DemoCmd) Run(*session) error { return errors.New("demo: the faces are not wired yet") }
