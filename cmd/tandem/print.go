package main

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// redacted stands for a value that is never shown.
const redacted = "(secret)"

// YAML writes the configuration as a file that would bring it about, but for
// its secrets.
func (c Config) YAML() ([]byte, error) { return yaml.Marshal(plain(&c)) }

// plain turns a table into what the YAML encoder knows, in the table's order.
func plain(options any) yaml.MapSlice {
	var out yaml.MapSlice
	for _, r := range rows(options) {
		out = append(out, yaml.MapItem{Key: r.name, Value: r.plain(r.value)})
	}
	return out
}

func (r row) plain(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = r.plain(v.Index(i))
		}
		return list
	case isTable(v.Type()):
		return plain(v.Addr().Interface())
	case v.Kind() == reflect.Bool, v.Type() == reflect.TypeFor[int]():
		return v.Interface()
	}
	text := format(v)
	if text != "" && r.tag.Get("secret") == "yes" {
		return redacted
	}
	return strings.ReplaceAll(redactURL(text), "${", "$${")
}

// secretParam matches names of query parameters that hold credentials.
var secretParam = regexp.MustCompile(`(?i)key|token|secret|sig|code|passw`)

// redactURL hides the credentials that an address may carry.
func redactURL(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	query, hidden := u.Query(), u.User != nil
	for name := range query {
		if secretParam.MatchString(name) {
			query.Set(name, redacted)
			hidden = true
		}
	}
	if !hidden {
		return text
	}
	if u.User != nil {
		u.User = url.User(redacted)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// configDocs is docs/config.md: what is said about options in general, then the
// table that the server itself reads.
func configDocs() string {
	var out strings.Builder
	out.WriteString(configIntro)
	table(&out, &Config{}, true)
	out.WriteString("\n## An entry of `agents`\n\n")
	table(&out, &AgentConfig{}, false)
	out.WriteString("\n## An entry of `issuers`\n\n")
	table(&out, &IssuerConfig{}, false)
	out.WriteString("\n## `claims` of an issuer\n\n")
	table(&out, &ClaimsConfig{}, false)
	out.WriteString(configExample)
	return out.String()
}

const configIntro = "# Configuration\n\n" +
	"<!-- Written by `make docs` from the table in cmd/tandem/config.go; a test compares. -->\n\n" +
	"Every option is a flag (`--public-url`), a variable (`TANDEM_PUBLIC_URL`) and a key of the file that `--config FILE` or\n" +
	"`TANDEM_CONFIG` names (`public_url`). A flag wins over a variable, a variable over the file, the file over the default.\n" +
	"`agents` and `issuers` are lists of tables and live in the file only.\n\n" +
	"- `tandem config check FILE` tries a file; `tandem config` prints what is in force, secrets left out.\n" +
	"- An unknown key, a key given twice or a bad unit stops the start and names the line and the nearest key.\n" +
	"- Durations: `30s`, `15m`, `24h`, `180d`. Rates: `200/1m`. `0` switches a limit off. Limits and rates hold per node.\n" +
	"- Lists: in the file `[a, b]`; as a variable `a,b`; as a flag several times or `a,b`.\n" +
	"- In the file `${NAME}` is the variable NAME, and `${file:PATH}` the text of a file without its last line end, relative to\n" +
	"  the configuration file. `$${` is a literal `${`. A variable that is not set stops the start.\n" +
	"- SIGHUP reads the file again. Options marked \"reloads\" change at once; others that differ are named in the log and wait\n" +
	"  for a restart. A file with a mistake changes nothing.\n\n" +
	"## Options\n\n"

const configExample = `
## An example

` + "```yaml" + `
# tandem.yaml
public_url: https://chat.example.org
data: /var/lib/tandem
listen: ["127.0.0.1:8080", "unix:/run/tandem.sock"]
trusted_proxies: [127.0.0.1]
origins: ["https://shop.example.com"]
retention: 90d

agents:
  - name: support-bot
    workflow: customer-support
    url: http://127.0.0.1:8000/chat
    secret: ${AGENT_SECRET}
    user_claims: [sub, name, plan]
  - name: faq
    workflow: faq
    url: openai+https://llm.example.org/v1?model=small
    key: ${LLM_KEY}
    system: ${file:prompts/faq.txt}
  - name: orders
    workflow: "Order Agent:Status"
    url: push # nobody is called; answers are posted, at the latest after total
    total: 10m
  - name: dispatch
    workflow: emergency
    url: none # people only: every message waits for a person

issuers:
  - issuer: https://login.customer-a.example
    jwks: https://login.customer-a.example/jwks.json
    audience: tandem
    tenant: customer-a
  - issuer: https://login.example.org
    public_key: ${file:login.pem}
    tenants: [customer-b, customer-c]
    roles: [participant, operator]
    claims: {tenant: org, role: job}
` + "```" + `
`

func table(out *strings.Builder, options any, top bool) {
	columns := []string{"key", "default", "example", "what it does"}
	if top {
		columns = append(columns, "since")
	}
	fmt.Fprintf(out, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, r := range rows(options) {
		help := r.tag.Get("help")
		if r.tag.Get("reload") == "yes" {
			help += " Reloads."
		}
		cells := []string{code(r.name), code(r.tag.Get("default")), code(r.tag.Get("example")), cell(help)}
		if top {
			cells = append(cells, r.tag.Get("since"))
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
}

// cell is text that Markdown shows as it is.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(text)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
