package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
	"github.com/seed4677ff1f/tandem/internal/api"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/metric"
)

// complete fills in what follows from other options and checks what one value
// alone cannot tell. The error has a line for every mistake.
func (c *Config) complete() error {
	p := problems{}
	c.completeAddresses(&p)
	p.check(c.TokenTTL > 0, "token_ttl: tokens must have a life: want a duration such as 12h")
	_, err := tandem.NewAddress(c.Tenant, c.Workflow, "anybody")
	p.check(err == nil, "tenant, workflow: %v", err)
	for _, origin := range c.Origins {
		p.check(origin == "*" || origin == "null" || isOrigin(origin), "origins: %q: want *, null, or scheme://host", origin)
	}
	if c.OTLP != "" {
		p.check(isWebURL(c.OTLP), "otlp: want a URL, such as http://collector:4318")
	}
	if c.Agent != "" {
		c.Agents = slices.DeleteFunc(c.Agents, func(a AgentConfig) bool { return a.Workflow == "*" && a.Tenant == "*" })
		fallback := AgentConfig{}
		setDefaults(&fallback)
		fallback.Name, fallback.URL = "Assistant", c.Agent
		c.Agents = append(c.Agents, fallback)
	}
	_, err = c.sentences()
	p.check(err == nil, "%v", err)
	c.checkAgents(&p)
	c.checkIssuers(&p)
	return errors.Join(p.errs...)
}

// problems gathers what is wrong.
type problems struct{ errs []error }

func (p *problems) check(ok bool, format string, args ...any) {
	if !ok {
		p.errs = append(p.errs, fmt.Errorf(format, args...))
	}
}

func (c *Config) completeAddresses(p *problems) {
	p.check(len(c.Listen) > 0, "listen: want at least one address")
	port := ""
	taken := func(addr, number string, list []string) bool { return number != "0" && slices.Contains(list, addr) }
	for i, addr := range c.Listen {
		_, number, err := parseListen(addr)
		p.check(err == nil, "listen: %q: %v", addr, err)
		p.check(!taken(addr, number, c.Listen[:i]), "listen: %q is given twice", addr)
		if port == "" && number != "0" { // 0: any that is free, known once it is open
			port = number
		}
	}
	if c.OpsListen != "" {
		_, number, err := parseListen(c.OpsListen)
		p.check(err == nil, "ops_listen: %q: %v", c.OpsListen, err)
		p.check(!taken(c.OpsListen, number, c.Listen), "ops_listen: %q serves the public already", c.OpsListen)
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	if c.PublicURL == "" {
		c.PublicURL = scheme + "://localhost"
		if port != "" {
			c.PublicURL += ":" + port
		}
		p.check(c.TLSCert != "auto", "tls_cert: auto needs public_url, whose host the certificate is for")
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	p.check(isWebURL(c.PublicURL), "public_url: want a URL such as https://chat.example.org")
	switch c.TLSCert {
	case "":
		p.check(c.TLSKey == "", "tls_key: needs tls_cert")
	case "auto":
		p.check(c.TLSKey == "", "tls_key: tls_cert: auto brings its own key")
		p.check(strings.HasPrefix(c.PublicURL, "https://"), "tls_cert: auto needs a public_url with https")
	default:
		p.check(c.TLSKey != "", "tls_cert: needs tls_key")
	}
}

// parseListen reads an address to listen on: the network (tcp or unix) that
// net.Listen wants and, of tcp, the port. What follows "unix:" is a path.
func parseListen(addr string) (network, port string, err error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return "", "", errors.New("want unix: and a path")
		}
		return "unix", "", nil
	}
	if _, port, err = net.SplitHostPort(addr); err == nil {
		if _, err = strconv.ParseUint(port, 10, 16); err == nil {
			return "tcp", port, nil
		}
	}
	return "", "", errors.New("want host:port, :port or unix:/path")
}

func (c *Config) checkAgents(p *problems) {
	type place struct{ workflow, tenant string }
	names, places := make(map[string]bool), make(map[place]string)
	for i, a := range c.Agents {
		at := fmt.Sprintf("agents[%d]", i+1)
		p.check(a.Name != "", "%s: name is required", at)
		p.check(!names[a.Name], "%s: another agent is named %q", at, a.Name)
		names[a.Name] = true
		p.check(a.Tenant == "*" || tandem.ValidTenant(a.Tenant), "%s: tenant: %q is not a tenant's name", at, a.Tenant)
		p.check(a.Workflow != "" && !strings.HasPrefix(a.Workflow, tandem.ReservedPrefix), "%s: workflow: empty or reserved", at)
		other, taken := places[place{a.Workflow, a.Tenant}]
		p.check(!taken, "%s: %q answers workflow %q of tenant %q already", at, other, a.Workflow, a.Tenant)
		places[place{a.Workflow, a.Tenant}] = a.Name
		made, err := agent.New(a.agent(metric.Agent{}))
		p.check(err == nil, "%s: %v", at, err)
		if made != nil {
			made.Close()
		}
	}
}

// checkIssuers tries the issuers one by one, so that each mistake is told.
func (c *Config) checkIssuers(p *problems) {
	seen := make(map[string]bool)
	for i, iss := range c.Issuers {
		p.check(iss.Issuer == "" || !seen[iss.Issuer], "issuers[%d]: issuer %q is given twice", i+1, iss.Issuer)
		seen[iss.Issuer] = true
		_, err := auth.New(auth.Options{Issuers: []auth.Issuer{iss.issuer()}, PublicURL: c.PublicURL})
		p.check(err == nil, "issuers[%d]: %v", i+1, err)
	}
}

// sentences reads the file that the option texts names.
func (c *Config) sentences() (api.Texts, error) {
	if c.Texts == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.Texts)
	if err != nil {
		return nil, fmt.Errorf("texts: %w", err)
	}
	return api.ParseTexts(text)
}

// warnings are sentences about what works and may not be meant.
func (c *Config) warnings() []string {
	var list []string
	for _, a := range c.Agents {
		list = append(list, a.agent(metric.Agent{}).Warnings()...)
	}
	return list
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Fragment == ""
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && s == u.Scheme+"://"+u.Host
}
