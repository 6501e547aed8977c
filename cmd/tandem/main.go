// Command tandem is the server and its tools.
//
// This file reads the command line; each command has a file of its own.
// config.go is the table of options, load.go where their values come from, and
// serve.go the only place where the packages of the server are put together.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/seed4677ff1f/tandem"
)

type commands struct {
	Serve   ServeCmd   `cmd:"" help:"Run the server."`
	Demo    DemoCmd    `cmd:"" help:"Run a server with example data that is deleted at the end."`
	Token   TokenCmd   `cmd:"" help:"Print a token (JWT) of the server's own key."`
	Key     KeyCmd     `cmd:"" help:"Create, list and revoke API keys."`
	User    UserCmd    `cmd:"" help:"Manage the accounts of people who sign in."`
	Revoke  RevokeCmd  `cmd:"" help:"Make a token, or all tokens of a subject, worthless."`
	Erase   EraseCmd   `cmd:"" help:"Erase what somebody said and was told."`
	Secret  SecretCmd  `cmd:"" help:"Change the server's own key."`
	Tail    TailCmd    `cmd:"" help:"Follow a thread in the terminal."`
	Config  ConfigCmd  `cmd:"" help:"Print the configuration in force, or try a file."`
	Version VersionCmd `cmd:"" help:"Print the version."`
}

// A session is what a command may use of the world around it.
type session struct {
	ctx         context.Context // done on SIGINT and SIGTERM
	in          io.Reader
	out, errOut io.Writer
	env         func(name string) (string, bool)
	given       map[string]bool // flags that the command line named
}

func main() { os.Exit(run(os.Args[1:])) }

// run is the whole program: 0 if the command did its work, 1 if it could not, 2
// if the command line makes no sense.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	s := &session{ctx: ctx, in: os.Stdin, out: os.Stdout, errOut: os.Stderr, env: os.LookupEnv, given: make(map[string]bool)}

	var c commands
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k := newParser(&c)
	parsed, err := k.Parse(args)
	if err != nil {
		fmt.Fprintf(s.errOut, "tandem: %s; tandem --help lists the commands, and tandem COMMAND --help their options\n", err)
		return 2
	}
	for _, p := range parsed.Path {
		if p.Flag != nil {
			s.given[p.Flag.Name] = true
		}
	}
	if err := parsed.Run(s); err != nil {
		for line := range strings.Lines(err.Error() + "\n") {
			fmt.Fprintf(s.errOut, "tandem: %s", line)
		}
		return 1
	}
	return 0
}

func newParser(c *commands) *kong.Kong {
	scalar := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		return setScalar(target, text)
	})
	config := Config{}
	options := []kong.Option{
		kong.Name("tandem"),
		kong.Description("One conversation, for the person who asks, the AI agent that answers, and the colleague who steps in."),
		kong.FlagNamer(flagName),
		kong.ValueFormatter(describe),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	}
	for _, r := range rows(&config) {
		typ := r.value.Type()
		if typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if !r.fileOnly() && typ != reflect.TypeFor[string]() {
			options = append(options, kong.TypeMapper(typ, scalar))
		}
	}
	k, err := kong.New(c, options...)
	if err != nil {
		panic(err) // a mistake in the structs above, seen by the first test
	}
	return k
}

// flagName is the flag of a field: of an option its name in the table, else the
// field's name in kebab case.
func flagName(field string) string {
	if f, ok := reflect.TypeFor[Config]().FieldByName(field); ok {
		return strings.ReplaceAll(f.Tag.Get("yaml"), "_", "-")
	}
	var out strings.Builder
	for i, c := range field {
		if i > 0 && c >= 'A' && c <= 'Z' {
			out.WriteByte('-')
		}
		out.WriteRune(c)
	}
	return strings.ToLower(out.String())
}

// describe is a flag's help, with its variable if it is an option of the server.
func describe(v *kong.Value) string {
	for _, r := range rows(&Config{}) {
		if v.Tag.Get("yaml") == r.name {
			return v.Help + " ($" + r.variable() + ")"
		}
	}
	return v.Help
}

// VersionCmd prints the version.
type VersionCmd struct{}

// Run prints the version and nothing else, so that scripts can read it.
func (VersionCmd) Run(s *session) error {
	_, err := fmt.Fprintln(s.out, tandem.Version)
	return err
}
