package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// dataFlags say which server's data a command works on. They are the server's
// own options, so that the same file and variables give the same answer.
type dataFlags struct {
	File string `name:"config" env:"TANDEM_CONFIG" placeholder:"FILE" help:"Read options from this YAML file, as the server does."`
	Data string `placeholder:"DIR" help:"The server's data folder. ($$TANDEM_DATA)"`
}

// with opens the data folder, a running server's too, and lends it to do. If
// there is none it is made when canBeNew: before the server's first start.
func (f dataFlags) with(s *session, canBeNew bool, do func(c Config, a *auth.Auth) error) error {
	return f.withStore(s, canBeNew, func(c Config, _ *store.Store, a *auth.Auth) error { return do(c, a) })
}

// withStore is with, for what no credential is about.
func (f dataFlags) withStore(s *session, canBeNew bool, do func(c Config, data *store.Store, a *auth.Auth) error) error {
	c, err := source{file: f.File, env: s.env, flags: Config{Data: f.Data}, given: map[string]bool{"data": f.Data != ""}}.load()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.Data, store.Database)); os.IsNotExist(err) {
		if !canBeNew {
			return fmt.Errorf("there is no data in %s: name the server's folder with --data", c.Data)
		}
		fmt.Fprintf(s.errOut, "tandem: made a new data folder, %s; start the server on it with --data\n", c.Data)
	}
	data, err := store.Open(s.ctx, store.Options{Dir: c.Data})
	if err != nil {
		return err
	}
	defer data.Close()
	a, err := auth.New(auth.Options{Store: data, PublicURL: c.PublicURL, TokenTTL: c.TokenTTL, DefaultTenant: c.Tenant})
	if err != nil {
		return err
	}
	return do(c, data, a)
}

// either is the first of two texts that says something.
func either(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}
