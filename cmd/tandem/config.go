package main

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/desk"
)

// Config is the table of options and, filled in, what the server is told: each
// field is one row. The flag (--public-url), the variable (TANDEM_PUBLIC_URL),
// the key of the YAML file (public_url), `tandem serve -h` and docs/config.md
// all come from its tags:
//
//	yaml     the option's name
//	default  its value if nobody says anything, as it would be written
//	example  a value worth showing
//	help     what it does, in a sentence or two
//	enum     the only values there are
//	since    the release that brought it
//	reload   "yes" if SIGHUP re-reads it
//	secret   "yes" if its value is never shown
//
// kong:"-" marks what only the file can hold.
type Config struct {
	Listen         []string       `yaml:"listen" default:":8080" example:"unix:/run/tandem.sock" since:"0.1.0" help:"Address to listen on: host:port, :port or unix:/path. May be given more than once; every address serves every face."`
	PublicURL      string         `yaml:"public_url" example:"https://chat.example.org" since:"0.1.0" help:"How the server is reached from outside: for printed links and as the issuer (iss) of its own tokens. Empty: http://localhost:<port>."`
	Data           string         `yaml:"data" default:"./tandem-data" example:"/var/lib/tandem" since:"0.1.0" help:"Folder of the database and of the server's own keys."`
	TLSCert        string         `yaml:"tls_cert" example:"auto" since:"0.1.0" help:"Certificate file (PEM), which brings HTTP/2 too; or auto: fetched and renewed by ACME for the host of public_url."`
	TLSKey         string         `yaml:"tls_key" since:"0.1.0" help:"Key file (PEM) of tls_cert."`
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" example:"10.0.0.0/8" since:"0.1.0" reload:"yes" help:"Networks whose X-Forwarded-For and X-Forwarded-Proto are believed, for limits and audit. Empty: nobody is believed."`
	Origins        []string       `yaml:"origins" default:"*" example:"https://app.example.org" since:"0.1.0" reload:"yes" help:"Browser origins for CORS and WebSocket. Safe as *: there are no cookies, only tokens."`
	OpsListen      string         `yaml:"ops_listen" example:"127.0.0.1:9090" since:"0.1.0" help:"Address for /metrics and pprof alone. Empty: /metrics on every address, for loopback and owner keys only."`
	LogLevel       slog.Level     `yaml:"log_level" default:"info" example:"debug" since:"0.1.0" help:"debug, info, warn or error. JSON unless on a terminal; never a message's text, a token or a raw path."`
	OTLP           string         `yaml:"otlp" example:"http://collector:4318" since:"0.1.0" help:"OpenTelemetry collector that traces are sent to. Empty: no traces."`
	Drain          time.Duration  `yaml:"drain" default:"30s" example:"1m" since:"0.1.0" help:"On SIGTERM, time to finish running answers and move readers."`

	Tenant    string        `yaml:"tenant" default:"default" example:"customer-a" since:"0.1.0" help:"Tenant of credentials that name none."`
	Workflow  string        `yaml:"workflow" default:"support" example:"customer-support" since:"0.1.0" help:"Workflow of chat tokens that name none."`
	TokenTTL  time.Duration `yaml:"token_ttl" default:"12h" example:"1h" since:"0.1.0" help:"Life of the tokens that signing in, refresh and tandem token make."`
	Texts     string        `yaml:"texts" example:"/etc/tandem/texts.yaml" since:"0.1.0" help:"YAML file of the sentences that participants see (person_soon, nobody_on_duty), by language. Empty: the built-in ones."`
	Retention time.Duration `yaml:"retention" default:"180d" example:"30d" since:"0.1.0" help:"How long messages and events are kept after a conversation ended; older cursors get gap. 0: for ever."`

	PushWhileHeld string        `yaml:"push_while_held" default:"draft" example:"refuse" enum:"draft,refuse" since:"0.1.0" help:"What becomes of an agent's push while an operator holds the conversation: draft (operators see it and send it with one key) or refuse (409)."`
	PickupAfter   time.Duration `yaml:"pickup_after" default:"2m" example:"30s" since:"0.1.0" help:"Nobody took a waiting conversation for so long: its urgency goes one step up. 0: never."`
	SilenceAfter  time.Duration `yaml:"silence_after" default:"10m" example:"5m" since:"0.1.0" help:"The holder of a conversation wrote nothing and had no open stream for so long: after a countdown it is given back. 0: never."`
	OnSilence     string        `yaml:"on_silence" default:"queue" example:"keep" enum:"queue,agent,keep" since:"0.1.0" help:"Where it is given back to: queue, agent (never if CRITICAL), or keep, nowhere."`
	EndAfter      time.Duration `yaml:"end_after" default:"24h" example:"4h" since:"0.1.0" help:"A text conversation without a word from anybody ends after so long. Calls are ended by their gateway. 0: never."`

	Rate       tandem.Rate `yaml:"rate" default:"200/1m" example:"600/1m" since:"0.1.0" help:"Requests per participant, operator, or address before sign-in; a participant's posts: a tenth of it. Agent keys: key create --rate. Per node. 0: no limit."`
	MaxStreams int         `yaml:"max_streams" default:"20" example:"100" since:"0.1.0" help:"Open streams per participant or operator, per node. 0: no limit."`
	MaxMessage int         `yaml:"max_message" default:"8000" example:"4000" since:"0.1.0" help:"Characters of a message from a person. 0: no limit."`

	Agent   string         `yaml:"agent" example:"http://127.0.0.1:8000/chat" since:"0.1.0" reload:"yes" help:"Agent of every workflow that agents does not name (instead of its entry for * and *): http(s)://..., openai+http(s)://host/v1?model=M, push, concierge or none."`
	Agents  []AgentConfig  `yaml:"agents" kong:"-" since:"0.1.0" reload:"yes" help:"Agents by workflow and tenant; the closest match answers: an exact workflow before *, an exact tenant before *."`
	Issuers []IssuerConfig `yaml:"issuers" kong:"-" since:"0.1.0" reload:"yes" help:"Whose JWTs are accepted besides our own, found by their iss."`
}

// AgentConfig is one agent and the workflows that it answers.
type AgentConfig struct {
	Name         string        `yaml:"name" example:"support-bot" help:"Its name in createdBy and in the metrics. Required; each name once."`
	Workflow     string        `yaml:"workflow" default:"*" help:"The workflow that it answers; * for every other."`
	Tenant       string        `yaml:"tenant" default:"*" help:"The tenant that it answers; * for every other."`
	URL          string        `yaml:"url" example:"http://127.0.0.1:8000/chat" help:"http(s)://..., openai+http(s)://host/v1?model=M, push (nobody is called, answers are posted), concierge (built in) or none (people only). Required."`
	Secret       string        `yaml:"secret" secret:"yes" example:"${AGENT_SECRET}" help:"Signs every call the Standard Webhooks way: whsec_ and base 64. Empty: unsigned."`
	Key          string        `yaml:"key" secret:"yes" example:"${LLM_KEY}" help:"Sent with every call as a bearer token."`
	System       string        `yaml:"system" example:"${file:prompts/faq.txt}" help:"System prompt for an openai+ address."`
	HandoffTool  bool          `yaml:"handoff_tool" default:"true" help:"Offers an openai+ model the function ask_a_person(reason, urgency)."`
	FAQ          string        `yaml:"faq" help:"File that the concierge answers from. Empty: it answers about Tandem."`
	UserClaims   []string      `yaml:"user_claims" default:"sub,name" help:"What of the participant's token the agent sees."`
	History      int           `yaml:"history" default:"40" help:"Messages of history that it is sent at most."`
	Data         bool          `yaml:"data" default:"false" help:"A Data message within a conversation asks it too, not only Chat."`
	FirstToken   time.Duration `yaml:"first_token" default:"30s" help:"Longest wait for its first token."`
	Idle         time.Duration `yaml:"idle" default:"30s" help:"Longest wait for its next token."`
	Total        time.Duration `yaml:"total" default:"5m" help:"Longest time for a whole answer."`
	Retries      int           `yaml:"retries" default:"2" help:"Calls made again, before the first token only."`
	Concurrency  int           `yaml:"concurrency" default:"64" help:"Answers at a time, over all conversations of this node."`
	WhileWaiting string        `yaml:"while_waiting" default:"answer" enum:"answer,silent" help:"What it does after a person was asked for, until one takes over: answer or silent."`
}

// IssuerConfig is a third party whose JWTs are accepted.
type IssuerConfig struct {
	Issuer    string       `yaml:"issuer" example:"https://login.customer-a.example" help:"The iss of its tokens, exactly. Required."`
	JWKS      string       `yaml:"jwks" example:"https://login.customer-a.example/jwks.json" help:"Address of its keys, fetched and rotated; https, or http on loopback. This, secret or public_key."`
	Secret    string       `yaml:"secret" secret:"yes" help:"Shared secret for HS256, 32 bytes or more."`
	PublicKey string       `yaml:"public_key" example:"${file:customer-a.pem}" help:"Its public key: PEM, a JWK, or a JWK set."`
	Audience  string       `yaml:"audience" example:"tandem" help:"The aud that its tokens must have. Empty: they must have none."`
	Tenant    string       `yaml:"tenant" example:"customer-a" help:"The tenant of all its tokens. This, or tenants."`
	Tenants   []string     `yaml:"tenants" help:"The tenants of which its tokens name one, in claims.tenant."`
	Roles     []string     `yaml:"roles" default:"participant" help:"The most that it may grant."`
	Claims    ClaimsConfig `yaml:"claims" help:"Under which names its tokens say things, see below."`
}

// ClaimsConfig says under which names an issuer's tokens carry what we read.
type ClaimsConfig struct {
	Sub      string `yaml:"sub" default:"sub" help:"Who it is."`
	Name     string `yaml:"name" default:"name" help:"The display name."`
	Email    string `yaml:"email" default:"email" help:"The e-mail address."`
	Role     string `yaml:"role" help:"The role. Empty: participant, or the only one of roles."`
	Tenant   string `yaml:"tenant" default:"tenant" help:"Which of tenants."`
	Workflow string `yaml:"workflow" default:"workflow" help:"The only workflow that the token is good for."`
	Session  string `yaml:"session" default:"session" help:"The only session that the token is good for."`
}

// rules are the rules of conversations that this configuration asks for.
func (c *Config) rules() *desk.Rules {
	return &desk.Rules{
		RefuseWhileHeld: c.PushWhileHeld == "refuse", PickupAfter: c.PickupAfter, SilenceAfter: c.SilenceAfter,
		OnSilence: c.OnSilence, EndAfter: c.EndAfter,
	}
}

// Limits are the limits that this configuration asks for.
func (c *Config) Limits() tandem.Limits {
	l := tandem.DefaultLimits()
	l.Requests = c.Rate
	l.Streams = c.MaxStreams
	l.Text = c.MaxMessage
	return l
}
