package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed4677ff1f/tandem"
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
		p.check(isWebURL(c.OTLP), "otlp: want a URL such as http://collector:4318")
	}
	if c.Agent != "" {
		c.Agents = slices.DeleteFunc(c.Agents, func(a AgentConfig) bool { return a.Workflow == "*" && a.Tenant == "*" })
		fallback := AgentConfig{}
		setDefaults(&fallback)
		fallback.Name, fallback.URL = "Assistant", c.Agent
		c.Agents = append(c.Agents, fallback)
	}
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
	for i, addr := range c.Listen {
		_, number, err := ParseListen(addr)
		p.check(err == nil, "listen: %q: %v", addr, err)
		p.check(!slices.Contains(c.Listen[:i], addr), "listen: %q is given twice", addr)
		if port == "" {
			port = number
		}
	}
	if c.OpsListen != "" {
		_, _, err := ParseListen(c.OpsListen)
		p.check(err == nil, "ops_listen: %q: %v", c.OpsListen, err)
		p.check(!slices.Contains(c.Listen, c.OpsListen), "ops_listen: %q serves the public already", c.OpsListen)
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
		p.check(strings.HasPrefix(c.PublicURL, "https://"), "tls_cert: auto needs a public_url that begins with https://")
	default:
		p.check(c.TLSKey != "", "tls_cert: needs tls_key")
	}
}

// ParseListen reads an address to listen on as net.Listen wants it: the network
// (tcp or unix) and, of tcp, the port. The rest of addr after "unix:" is a path.
func ParseListen(addr string) (network, port string, err error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if path == "" {
			return "", "", errors.New("want a path after unix:")
		}
		return "unix", "", nil
	}
	_, port, err = net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", "", errors.New("want host:port, :port or unix:/path")
	}
	return "tcp", port, nil
}

func (c *Config) checkAgents(p *problems) {
	type place struct{ workflow, tenant string }
	names, places := make(map[string]bool), make(map[place]string)
	for i, a := range c.Agents {
		at := fmt.Sprintf("agents[%d]", i+1)
		if a.Name != "" {
			at += " (" + a.Name + ")"
		}
		p.check(a.Name != "", "%s: name is required", at)
		p.check(a.Name == "" || !names[a.Name], "%s: another agent has this name", at)
		names[a.Name] = true
		err := checkAgentURL(a.URL)
		p.check(err == nil, "%s: url: %v", at, err)
		p.check(a.Tenant == "*" || tandem.ValidTenant(a.Tenant), "%s: tenant: not a tenant's name", at)
		p.check(a.Workflow != "" && !strings.HasPrefix(a.Workflow, tandem.ReservedPrefix), "%s: workflow: empty or reserved", at)
		other, taken := places[place{a.Workflow, a.Tenant}]
		p.check(!taken, "%s: %s answers workflow %q of tenant %q already", at, other, a.Workflow, a.Tenant)
		places[place{a.Workflow, a.Tenant}] = a.Name
		model := strings.HasPrefix(a.URL, "openai+")
		p.check(model || a.Key == "", "%s: key: only for an openai+ address; a call is signed with secret", at)
		p.check(model || a.System == "", "%s: system: only for an openai+ address", at)
	}
}

// checkAgentURL says what is wrong with an agent's address.
func checkAgentURL(s string) error {
	switch s {
	case "push", "concierge", "none":
		return nil
	}
	address, model := strings.CutPrefix(s, "openai+")
	u, err := url.Parse(address)
	if err != nil || !isWebURL(address) {
		return errors.New("want http(s)://..., openai+http(s)://host/v1?model=M, push, concierge or none")
	}
	if model && u.Query().Get("model") == "" {
		return errors.New("an openai+ address needs ?model=")
	}
	return nil
}

func (c *Config) checkIssuers(p *problems) {
	seen := map[string]bool{c.PublicURL: true}
	for i, iss := range c.Issuers {
		at := fmt.Sprintf("issuers[%d]", i+1)
		p.check(iss.Issuer != "", "%s: issuer is required", at)
		p.check(!seen[iss.Issuer], "%s: issuer %q is given twice, or is our own public_url", at, iss.Issuer)
		seen[iss.Issuer] = true
		keys := 0
		for _, key := range []string{iss.JWKS, iss.Secret, iss.PublicKey} {
			if key != "" {
				keys++
			}
		}
		p.check(keys == 1, "%s: want exactly one of jwks, secret and public_key", at)
		p.check(iss.JWKS == "" || isWebURL(iss.JWKS), "%s: jwks: want a URL", at)
		p.check(iss.Secret == "" || len(iss.Secret) >= 32, "%s: secret: want 32 bytes or more", at)
		p.check((iss.Tenant == "") != (len(iss.Tenants) == 0), "%s: want either tenant or tenants", at)
		p.check(len(iss.Tenants) == 0 || iss.Claims.Tenant != "", "%s: tenants needs claims.tenant, which says whose a token is", at)
		for _, tenant := range append(slices.Clone(iss.Tenants), iss.Tenant) {
			p.check(tenant == "" || tandem.ValidTenant(tenant), "%s: %q is not a tenant's name", at, tenant)
		}
		p.check(len(iss.Roles) > 0, "%s: roles: want at least one", at)
		for _, role := range iss.Roles {
			_, err := tandem.ParseRole(role)
			p.check(err == nil, "%s: roles: %v", at, err)
		}
		p.check(iss.Claims.Sub != "", "%s: claims.sub is required", at)
	}
}

// warnings are sentences about what works and may not be meant.
func (c *Config) warnings() []string {
	var list []string
	for _, a := range c.Agents {
		if strings.HasPrefix(a.URL, "http") && a.Secret == "" && !isLoopback(a.URL) {
			list = append(list, fmt.Sprintf("agent %s is called without a signature: give it a secret", a.Name))
		}
	}
	for _, iss := range c.Issuers {
		if strings.HasPrefix(iss.JWKS, "http://") && !isLoopback(iss.JWKS) {
			list = append(list, fmt.Sprintf("the keys of issuer %s are fetched without TLS", iss.Issuer))
		}
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

func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || (err == nil && addr.IsLoopback())
}
