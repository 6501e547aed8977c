package main

import (
	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/turn"
)

// agent is how to reach it, as package agent wants to know.
func (a AgentConfig) agent(m metric.Agent) agent.Config {
	return agent.Config{
		Name: a.Name, URL: a.URL, Secret: a.Secret, Key: a.Key, System: a.System, HandoffTool: a.HandoffTool,
		UserClaims: a.UserClaims, Concurrency: a.Concurrency, FAQ: a.FAQ, Metric: m,
	}
}

// specs makes the agents of the configuration for a turn.Runner. The caller
// calls closeAll once no answer of theirs can be under way any more.
func (c *Config) specs(m *metric.Set) (list []turn.Spec, closeAll func(), err error) {
	var made []agent.Agent
	closeAll = func() {
		for _, a := range made {
			a.Close()
		}
	}
	for _, a := range c.Agents {
		one, err := agent.New(a.agent(m.Agent(a.Name)))
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		spec := turn.Spec{
			Name: a.Name, Tenant: a.Tenant, Workflow: a.Workflow, Push: a.URL == "push",
			History: a.History, FirstToken: a.FirstToken, Idle: a.Idle, Total: a.Total, Retries: a.Retries,
			Concurrency: a.Concurrency, Silent: a.WhileWaiting == "silent", Data: a.Data, UserClaims: a.UserClaims,
		}
		if one != nil {
			spec.Agent = one
			made = append(made, one)
		}
		list = append(list, spec)
	}
	return list, closeAll, nil
}

// issuer is the issuer as package auth wants to know it.
func (i IssuerConfig) issuer() auth.Issuer {
	roles := make([]tandem.PrincipalRole, len(i.Roles))
	for k, role := range i.Roles {
		roles[k] = tandem.PrincipalRole(role)
	}
	return auth.Issuer{
		Issuer: i.Issuer, JWKS: i.JWKS, Secret: auth.Secret(i.Secret), PublicKey: i.PublicKey, Audience: i.Audience,
		Tenant: i.Tenant, Tenants: i.Tenants, Roles: roles,
		Claims: auth.Claims{
			Sub: i.Claims.Sub, Name: i.Claims.Name, Email: i.Claims.Email, Role: i.Claims.Role,
			Tenant: i.Claims.Tenant, Workflow: i.Claims.Workflow, Session: i.Claims.Session,
		},
	}
}

// issuers are all of them.
func (c *Config) issuers() []auth.Issuer {
	list := make([]auth.Issuer, len(c.Issuers))
	for i, iss := range c.Issuers {
		list[i] = iss.issuer()
	}
	return list
}
