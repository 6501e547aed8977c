// Package agent is what answers a question: a server behind a URL that streams
// its answer, a model behind the OpenAI API, an engine that pushes its answer in
// its own time, or the concierge that is built in.
//
// An [Agent] knows nothing of turns, retries, time-outs or takeovers: it turns
// one [tandem.Question] into [tandem.Piece]s, in order, and says how that ended.
// Package turn, which calls it, decides what to do about it.
package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// An Agent answers questions; any number of them at the same time.
type Agent interface {
	// Reply asks q and blocks until the answer is whole. It calls emit for each
	// piece, in order and from the calling goroutine. An error of emit is
	// returned at once and as it is: it means that the answer was cut. When ctx
	// ends, Reply ends with its cause. Every other error is a [tandem.Error]:
	// Unavailable may be tried again, any other kind may not. What an upstream
	// said about its failure is only in the cause.
	Reply(ctx context.Context, q tandem.Question, emit func(tandem.Piece) error) error

	// Close gives back what is kept between answers. No Reply may be running.
	Close()
}

// A Config is one entry of the configuration's agents list, as far as it tells
// how to reach the agent. The zero value of every field but URL is fine.
type Config struct {
	Name        string        // for messages about the agent
	URL         string        // http(s)://…, openai+http(s)://host/v1?model=M, push, concierge, none
	Secret      string        // signs what is sent to an http(s) agent: whsec_ and base 64
	Key         string        // sent as a bearer token
	System      string        // system prompt of an OpenAI-compatible agent
	HandoffTool bool          // offer such an agent the function ask_a_person
	UserClaims  []string      // what of the user is sent; nil: sub and name
	Concurrency int           // connections kept open between answers; 0: 64
	FAQ         string        // file the concierge answers from; empty: about Tandem
	Pause       time.Duration // between two words of the concierge; 0: 25 ms, negative: none
	Clock       tandem.Clock  // nil: time.Now
	Metric      metric.Agent  // of this agent; the zero value counts nothing
}

// New makes the agent that c describes, or nil for "none" (people only). An
// error names the agent and the field that is wrong and never holds a secret.
func New(c Config) (Agent, error) {
	if c.UserClaims == nil {
		c.UserClaims = []string{"sub", "name"}
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 64
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	a, err := c.open()
	if err != nil {
		return nil, fmt.Errorf("agent %q: %w", c.Name, err)
	}
	return a, nil
}

func (c Config) open() (Agent, error) {
	switch c.URL {
	case "none":
		return nil, nil
	case "push":
		return push{}, nil
	case "concierge":
		return newConcierge(c)
	}
	base, model, err := c.target()
	if err != nil {
		return nil, err
	}
	sign, err := c.signer()
	if err != nil {
		return nil, err
	}
	r := newRemote(c, base.String())
	if model == "" {
		r.sign = sign
		r.body = questionBody(c.UserClaims)
	} else {
		r.body = completionBody(model, c.System, c.HandoffTool)
	}
	return r, nil
}

// target is where a remote agent's questions are posted; model is empty unless
// it speaks the OpenAI API.
func (c Config) target() (base *url.URL, model string, err error) {
	const forms = "http(s)://…, openai+http(s)://host/v1?model=M, push, concierge or none"
	if c.URL == "" {
		return nil, "", errors.New("url is missing: give " + forms)
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, "", errors.New("url is not a URL: give " + forms) // the parser's own words may hold a password
	}
	scheme, openai := strings.CutPrefix(u.Scheme, "openai+")
	switch {
	case scheme != "http" && scheme != "https":
		if u.Host == "" { // localhost:8000/chat reads as a scheme named localhost
			return nil, "", errors.New("url has no http:// or https:// in front: give " + forms)
		}
		return nil, "", fmt.Errorf("url cannot begin with %s://: give %s", u.Scheme, forms)
	case u.Hostname() == "":
		return nil, "", errors.New("url names no host")
	case !openai:
		return u, "", nil
	}
	query := u.Query()
	if model = query.Get("model"); model == "" {
		return nil, "", errors.New("url of an OpenAI-compatible agent must end with ?model=, the model's name")
	}
	query.Del("model")
	u.Scheme, u.RawQuery = scheme, query.Encode()
	if !strings.HasSuffix(u.Path, "/chat/completions") {
		u = u.JoinPath("chat/completions")
	}
	return u, model, nil
}

// signer makes what signs every question, or nil without a secret. See
// https://www.standardwebhooks.com, "Signature scheme".
func (c Config) signer() (*webhooks.Webhook, error) {
	if c.Secret == "" {
		return nil, nil
	}
	const make = `; make one with: echo "whsec_$(openssl rand -base64 32)"`
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.Secret, "whsec_"))
	switch {
	case err != nil:
		return nil, errors.New("secret must be whsec_ followed by base 64" + make)
	case len(key) < 24:
		return nil, errors.New("secret is shorter than 24 bytes" + make)
	}
	return webhooks.NewWebhookRaw(key)
}

// Warnings are sentences about what works but is not safe or has no effect, to
// print when the server starts.
func (c Config) Warnings() []string {
	base, model, err := c.target()
	if err != nil {
		return nil
	}
	var out []string
	say := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("agent %q: ", c.Name)+fmt.Sprintf(format, args...))
	}
	far := !loopback(base.Hostname())
	if model == "" && c.Secret == "" && far {
		say("questions to %s are not signed, so it cannot tell ours from others'; set secret", base.Host)
	}
	if base.Scheme == "http" && far {
		say("everything said goes to %s in the clear; use https", base.Host)
	}
	if model != "" && c.Secret != "" {
		say("secret has no effect on an OpenAI-compatible agent; it takes key")
	}
	return out
}

func loopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// push is an agent that is not called: it learns of questions from its own
// stream and pushes what it has to say.
type push struct{}

func (push) Reply(_ context.Context, _ tandem.Question, emit func(tandem.Piece) error) error {
	return emit(tandem.Piece{Later: true})
}

func (push) Close() {}
