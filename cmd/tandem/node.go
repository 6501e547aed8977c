package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/agent"
	"github.com/seed4677ff1f/tandem/internal/api"
	"github.com/seed4677ff1f/tandem/internal/auth"
	"github.com/seed4677ff1f/tandem/internal/desk"
	"github.com/seed4677ff1f/tandem/internal/hub"
	"github.com/seed4677ff1f/tandem/internal/metric"
	"github.com/seed4677ff1f/tandem/internal/store"
	"github.com/seed4677ff1f/tandem/internal/turn"
	"github.com/seed4677ff1f/tandem/spec"
	"github.com/seed4677ff1f/tandem/web"
)

// A node is a whole server but for its listeners: the packages, put together in
// the order in which a message passes them, and taken apart in reverse.
type node struct {
	metric *metric.Set
	log    *slog.Logger
	store  *store.Store
	hub    *hub.Hub
	auth   *auth.Auth
	turns  *turn.Runner
	desk   *desk.Desk
	api    *api.Server

	stop func()         // ends the goroutines below
	work sync.WaitGroup // the watcher of revocations, retention

	mu       sync.Mutex // guards config, agents, draining
	config   Config
	agents   []func() // close the agents of this configuration and of those before
	draining bool
}

// openNode opens the data and starts what runs by itself. The caller must Close
// the node.
func openNode(ctx context.Context, c Config, log *slog.Logger) (n *node, err error) {
	n = &node{config: c, log: log, metric: metric.New(), stop: func() {}}
	defer func(opened *node) {
		if err != nil {
			opened.close(ctx)
		}
	}(n)
	if n.metric.Tracer, err = metric.StartTracing(ctx, c.OTLP); err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	texts, err := c.sentences()
	if err != nil {
		return nil, err
	}
	n.hub = hub.New(hub.Options{Codec: api.Codec(), Metric: n.metric})
	n.store, err = store.Open(ctx, store.Options{
		Dir: c.Data, Lock: true, Metric: n.metric, Log: log,
		Committed: func(all []store.Committed) { n.desk.Committed(all) },
	})
	if err != nil {
		return nil, err
	}
	if err := n.store.EnsureTenant(ctx, c.Tenant); err != nil {
		return nil, err
	}
	if n.auth, err = auth.New(auth.Options{
		Store: n.store, Issuers: c.issuers(), PublicURL: c.PublicURL, TokenTTL: c.TokenTTL,
		DefaultTenant: c.Tenant, Disabled: n.accountDisabled, Erased: n.erased, Metric: n.metric, Log: log,
	}); err != nil {
		return nil, err
	}
	specs, closeAgents, err := c.specs(n.metric)
	if err != nil {
		return nil, err
	}
	n.agents = append(n.agents, closeAgents)
	n.turns = turn.New(turn.Options{
		Store: n.store, Hub: n.hub, Agents: specs, Limits: c.Limits(), Metric: n.metric, Log: log,
		Handoff: func(ctx context.Context, a tandem.Address, conversation string, req tandem.HandoffRequest) error {
			return n.desk.AgentAsks(ctx, a, conversation, req)
		},
		Append: func(ctx context.Context, ap store.Append) (store.Result, error) { return n.desk.Append(ctx, ap) },
	})
	n.desk = desk.New(desk.Options{Store: n.store, Hub: n.hub, Turns: n.turns, Limits: c.Limits(), Rules: c.rules(), Decode: agent.Decode, Metric: n.metric, Log: log})
	n.api = api.New(api.Options{
		Desk: n.desk, Auth: n.auth, Limits: c.Limits(), Origins: c.Origins, TrustedProxies: c.TrustedProxies,
		Tenant: c.Tenant, Workflow: c.Workflow, OpsElsewhere: c.OpsListen != "", Texts: texts, Ready: n.ready,
		Pages: web.Files, Spec: spec.Files, Metric: n.metric, Log: log,
	})
	if err := n.turns.Start(ctx); err != nil {
		return nil, err
	}
	n.run()
	return n, nil
}

// run starts what goes on beside the requests.
func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	n.work.Go(func() {
		n.auth.Run(ctx, func(match func(tandem.Principal) bool, reason string) { n.hub.EndStreams(match, reason) })
	})
	n.work.Go(func() { n.desk.Run(ctx) })
	retention := n.config.Retention
	n.work.Go(func() { n.trim(ctx, retention) })
}

// accountDisabled gives back what somebody held whose account was disabled, here or
// by a command.
func (n *node) accountDisabled(ctx context.Context, tenant, username string) {
	if err := n.desk.AccountDisabled(ctx, tenant, username); err != nil && ctx.Err() == nil {
		n.log.Error("what a disabled account held was not given back yet; it will be at the next start", "err", err)
	}
}

// erased forgets a thread that was erased, here or by a command.
func (n *node) erased(ctx context.Context, thread int64) {
	if err := n.desk.Erased(ctx, thread); err != nil && ctx.Err() == nil {
		n.log.Error("a thread that was erased is not forgotten yet", "err", err)
	}
}

// trim removes what is older than the retention, if there is one, sessions that are
// over, and what the audit need not keep any more, at the start and every hour.
func (n *node) trim(ctx context.Context, retention time.Duration) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		_, err := n.desk.TrimSessions(ctx)
		if retention > 0 && err == nil {
			_, err = n.store.Trim(ctx, time.Now().Add(-retention))
		}
		if err = errors.Join(err, n.store.TrimAudit(ctx, time.Now())); err != nil && ctx.Err() == nil {
			n.log.Error("retention", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ready says why the server should get no work now.
func (n *node) ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		return tandem.Errorf(tandem.Unavailable, "shutting down")
	}
	return n.store.Ready()
}

// reload takes over what may change while the server runs. The agents that were
// there before stay open until the end, since answers of theirs may be under way.
func (n *node) reload(next Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	config, waiting := n.config.reload(next)
	if len(waiting) > 0 {
		n.log.Warn("these options wait for a restart", "options", waiting)
	}
	specs, closeAgents, err := config.specs(n.metric)
	if err == nil {
		err = n.auth.SetIssuers(config.issuers())
	}
	if err != nil {
		n.log.Error("the configuration was not re-read", "err", err)
		return
	}
	n.agents = append(n.agents, closeAgents)
	n.turns.SetAgents(specs)
	n.api.SetLists(config.Origins, config.TrustedProxies)
	n.config = config
	n.log.Info("re-read the configuration")
}

// drain makes the server not ready, takes no new work, lets running answers
// finish for at most the time configured, then moves the readers away.
func (n *node) drain() {
	n.mu.Lock()
	n.draining = true
	patience := n.config.Drain
	n.mu.Unlock()
	n.api.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.turns.Stop(ctx)
	ctx, cancel = context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.api.Drain(ctx); err != nil {
		n.log.Warn("some streams were cut off", "err", err)
	}
}

// close takes the node apart, whatever of it there is.
func (n *node) close(ctx context.Context) {
	if n.api != nil {
		n.api.Close()
	}
	if n.turns != nil {
		over, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancel()
		n.turns.Stop(over)
	}
	n.stop()
	n.work.Wait()
	for _, closeAgents := range n.agents {
		closeAgents()
	}
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			n.log.Error("close the store", "err", err)
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := n.metric.Tracer.Stop(flush); err != nil {
		n.log.Warn("the last traces were not sent", "err", err)
	}
}
