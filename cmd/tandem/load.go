package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// A row is one option of a table, with the place where its value goes.
type row struct {
	name  string // as in the YAML file
	tag   reflect.StructTag
	value reflect.Value
}

// rows lists the options of a pointer to a struct with the tags of [Config].
func rows(options any) []row {
	v := reflect.ValueOf(options).Elem()
	list := make([]row, v.NumField())
	for i := range list {
		tag := v.Type().Field(i).Tag
		list[i] = row{tag.Get("yaml"), tag, v.Field(i)}
	}
	return list
}

func (r row) flag() string     { return strings.ReplaceAll(r.name, "_", "-") }
func (r row) variable() string { return "TANDEM_" + strings.ToUpper(r.name) }
func (r row) fileOnly() bool   { return r.tag.Get("kong") == "-" }

// set gives the option its values and says no to those that are not of its enum.
func (r row) set(texts []string) error {
	if enum := r.tag.Get("enum"); enum != "" {
		for _, text := range texts {
			if !strings.Contains(","+enum+",", ","+text+",") {
				return fmt.Errorf("want %s", strings.ReplaceAll(enum, ",", " or "))
			}
		}
	}
	return setList(r.value, texts)
}

// setDefaults gives every option its default. A default that is not valid is a
// mistake in the table, seen by the first test that runs.
func setDefaults(options any) {
	for _, r := range rows(options) {
		text, ok := r.tag.Lookup("default")
		switch {
		case isTable(r.value.Type()):
			setDefaults(r.value.Addr().Interface())
		case ok:
			if err := r.set(split(r.value, text)); err != nil {
				panic(r.name + ": " + err.Error())
			}
		}
	}
}

// A source is everything that options come from, besides their defaults.
type source struct {
	file  string // path of the YAML file; empty: none
	env   func(name string) (string, bool)
	flags Config          // what the command line said ...
	given map[string]bool // ... of these options, by flag name
}

// load reads every source: a flag wins over a variable, a variable over the
// file, the file over the default. It may be called again, on SIGHUP. The error
// names every mistake, each on its own line and with where it is.
func (s source) load() (Config, error) {
	var c Config
	setDefaults(&c)
	if s.file != "" {
		if err := readFile(s.file, s.env, &c); err != nil {
			return Config{}, err
		}
	}
	var errs []error
	flags := rows(&s.flags)
	for i, r := range rows(&c) {
		if r.fileOnly() {
			continue
		}
		// An empty variable is one that somebody declared and did not fill in.
		if text, _ := s.env(r.variable()); text != "" {
			if err := r.set(split(r.value, text)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", r.variable(), err))
			}
		}
		if s.given[r.flag()] {
			r.value.Set(flags[i].value)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	return c, c.complete()
}

// reload is the configuration that runs after SIGHUP: c with those options of
// next that can change while the server runs. It also names the others that
// differ, which wait for a restart.
func (c Config) reload(next Config) (_ Config, waiting []string) {
	fresh := rows(&next)
	for i, r := range rows(&c) {
		switch {
		case reflect.DeepEqual(r.value.Interface(), fresh[i].value.Interface()):
		case r.tag.Get("reload") == "yes":
			r.value.Set(fresh[i].value)
		default:
			waiting = append(waiting, r.name)
		}
	}
	return c, waiting
}
