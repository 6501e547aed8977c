package main

import (
	"fmt"
	"os"
)

// serverFlags are the options of the server as flags, and its file.
type serverFlags struct {
	File    string `name:"config" env:"TANDEM_CONFIG" placeholder:"FILE" help:"Read options from this YAML file, see docs/config.md."`
	Options Config `embed:""`
}

func (f serverFlags) source(s *session) source {
	return source{file: f.File, env: s.env, flags: f.Options, given: s.given}
}

// ConfigCmd prints or checks a configuration.
type ConfigCmd struct {
	Show  ConfigShowCmd  `cmd:"" default:"withargs" help:"Print the configuration in force, secrets left out. Takes the options of serve."`
	Check ConfigCheckCmd `cmd:"" help:"Try a configuration file."`
	Docs  ConfigDocsCmd  `cmd:"" hidden:"" help:"Print docs/config.md."`
}

// ConfigShowCmd prints the configuration in force.
type ConfigShowCmd struct{ serverFlags }

// Run prints what serve with the same flags, variables and file would use.
func (c ConfigShowCmd) Run(s *session) error {
	config, err := c.source(s).load()
	if err != nil {
		return err
	}
	text, err := config.YAML()
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

// ConfigCheckCmd tries a configuration file.
type ConfigCheckCmd struct {
	Path string `arg:"" name:"file" help:"The file to try."`
}

// Run prints warnings and one sentence, or fails with what is wrong and where.
func (c ConfigCheckCmd) Run(s *session) error {
	if _, err := os.Stat(c.Path); err != nil {
		return err
	}
	config, err := source{file: c.Path, env: s.env}.load()
	if err != nil {
		return err
	}
	for _, warning := range config.warnings() {
		fmt.Fprintln(s.errOut, "warning:", warning)
	}
	_, err = fmt.Fprintf(s.out, "%s is good.\n", c.Path)
	return err
}

// ConfigDocsCmd prints docs/config.md, for make docs.
type ConfigDocsCmd struct{}

// Run prints the page.
func (ConfigDocsCmd) Run(s *session) error {
	_, err := fmt.Fprint(s.out, configDocs())
	return err
}
