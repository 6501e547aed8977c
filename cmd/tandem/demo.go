package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/auth"
)

// DemoCmd runs a server with example data.
type DemoCmd struct {
	Agent  string   `placeholder:"URL" help:"Your own agent, instead of the built-in one."`
	Listen []string `default:"127.0.0.1:8080,127.0.0.1:5000,127.0.0.1:3001" help:"Addresses; the documents' examples use these ports."`
}

// The names that the published documents' examples use.
const (
	demoTenant       = "tenant-id"
	demoWorkflow     = "customer-support"
	demoParticipant  = "user-123"
	demoSession      = "pay-1"
	demoLine         = "emergency" // the workflow of the conversation, where only people answer
	demoConversation = "conv_919325590143_20251003_115804"
)

// Run serves until Ctrl-C, on a data folder that is deleted then.
func (c DemoCmd) Run(s *session) (err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "tandem-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	logFile, err := os.Create(filepath.Join(dir, "log.jsonl"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	load := func() (Config, error) { return c.config(filepath.Join(dir, "data")) }
	config, err := load()
	if err != nil {
		return err
	}
	config.Drain = 2 * time.Second
	log := newLog(logFile, config.LogLevel)
	return serve(s.ctx, config, log, load, func(n *node, addrs []net.Listener) error {
		text, err := c.page(s.ctx, n, logFile.Name(), addrs)
		if err != nil {
			return err
		}
		now := time.Now()
		_, err = fmt.Fprintf(s.out, "%s%s ready in %.1f s\n", text, now.Format("15:04:05"), now.Sub(began).Seconds())
		return err
	})
}

// config is the server's: an agent everywhere but on the line of the conversation.
func (c DemoCmd) config(data string) (Config, error) {
	flags := Config{Data: data, Listen: c.Listen, Tenant: demoTenant, Workflow: demoWorkflow, Agent: "concierge"}
	if c.Agent != "" {
		flags.Agent = c.Agent
	}
	given := map[string]bool{"data": true, "listen": true, "tenant": true, "workflow": true, "agent": true}
	config, err := source{env: func(string) (string, bool) { return "", false }, flags: flags, given: given}.load()
	people := AgentConfig{}
	setDefaults(&people)
	people.Name, people.Workflow, people.URL = "people", demoLine, "none"
	config.Agents = append(config.Agents, people)
	return config, err
}

// page makes the example data and is what the demo prints of it. Every line under
// PASTE is run by a test.
func (c DemoCmd) page(ctx context.Context, n *node, logFile string, addrs []net.Listener) (string, error) {
	key, _, err := n.auth.CreateKey(ctx, auth.KeyRequest{Tenant: demoTenant, Name: "demo", Role: tandem.Agent})
	if err != nil {
		return "", err
	}
	token, err := n.auth.Mint(ctx, auth.MintRequest{
		Tenant: demoTenant, Subject: demoParticipant, Role: tandem.Participant, Workflow: demoWorkflow, Name: "Ann",
	})
	if err != nil {
		return "", err
	}
	people, err := demoPeople(ctx, n.auth)
	if err != nil {
		return "", err
	}
	hosts, ports := make([]string, len(addrs)), make([]string, len(addrs))
	for i, l := range addrs {
		hosts[i] = l.Addr().String()
		ports[i] = hosts[i][strings.LastIndexByte(hosts[i], ':')+1:]
	}
	if err := openDemo(ctx, "http://"+hosts[0], key.Reveal()); err != nil {
		return "", fmt.Errorf("the example conversation: %w", err)
	}
	answers := "the built-in concierge answers: it knows a few things about Tandem and hands over when asked"
	if c.Agent != "" {
		answers = "your agent answers: " + redactURL(c.Agent)
	}
	return strings.NewReplacer(
		"{version}", tandem.Version, "{log}", logFile, "{key}", key.Reveal(), "{token}", token.Token.Reveal(), "{answers}", answers,
		"{api}", ports[0], "{calls}", ports[len(ports)/2], "{chat}", ports[len(ports)-1], "{addresses}", strings.Join(hosts, ", "),
		"{tenant}", demoTenant, "{workflow}", demoWorkflow, "{participant}", demoParticipant, "{people}", people,
		"{session}", demoSession, "{line}", demoLine, "{conversation}", demoConversation,
	).Replace(demoPage), nil
}

const demoPage = `
Tandem {version}, demo. Nothing is kept: Ctrl-C ends it and deletes its data.
The log is in {log}

LOOK
  Everything, explained            http://localhost:{api}/

HAPPENING NOW
  {conversation}   CRITICAL  a call, Voice, on the line {line}; it waits for a person
  In {workflow}, {answers}.
  Try it: paste the first line into a terminal, the second into another one, and read the first again.

PASTE (the four documents' own lines, filled in)
  curl -N "http://localhost:{api}/api/user/sse/events?workflow={workflow}&participantId={participant}&tenantId={tenant}&apikey={key}&heartbeatSeconds=30"
  curl "http://localhost:{api}/api/user/rest/send?workflow={workflow}&type=Chat&participantId={participant}&text=Hello" -X POST -H "Authorization: Bearer {key}"
  curl -N http://localhost:{api}/sse/connect/{session} -H "Authorization: Bearer {token}"
  curl "http://localhost:{api}/sse/send?userId={participant}&message=paid" -H "Authorization: Bearer {key}"
  curl -N http://localhost:{calls}/api/conversation/{conversation}/stream -H "Authorization: Bearer {key}"
  new WebSocket("ws://localhost:{chat}?token={token}")        // in any page's console

SIGN IN
  API key   {key}   tenant {tenant}, role agent (may read and post to every thread: keep it on servers)
  Token     {token}  participant {participant}, workflow {workflow}, 12 h
  People    {people}
            POST /api/auth/login gives them a token; docs/operators.md says what they do with it

Listening on {addresses} (each serves everything). Your own agent: make demo AGENT=http://127.0.0.1:8000/chat
`
