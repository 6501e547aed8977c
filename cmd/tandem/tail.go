package main

import "errors"

// TailCmd follows a thread.
type TailCmd struct {
	Server      string `default:"http://localhost:8080" placeholder:"URL" help:"Where the server is."`
	Token       string `env:"TANDEM_TOKEN" required:"" placeholder:"TOKEN" help:"A token or API key."`
	Workflow    string `required:"" help:"The thread's workflow."`
	Participant string `required:"" help:"The thread's participant."`
	Tenant      string `help:"The tenant. Empty: the credential's."`
	After       string `placeholder:"CURSOR" help:"Begin after this cursor. Empty: with what comes next."`
	Tokens      bool   `help:"Show answers while they are written."`
	JSON        bool   `name:"json" help:"Print each event's data as it came."`
}

// Run follows until Ctrl-C, resuming by itself.
func (c TailCmd) Run(*session) error { return errors.New("tail: not yet") }
