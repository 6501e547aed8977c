package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// place is where a stream ticket was first used; it is good nowhere else.
type place struct {
	Route   string
	Address tandem.Address
	Subject string
}

// NewTicket makes a ticket for a browser, which cannot send headers with an
// EventSource or a WebSocket. It stands for p, for one Purpose (Stream or
// Socket), must be used first before the returned time, and ends with p's own
// credential. A ticket makes no tickets: Forbidden.
func (a *Auth) NewTicket(ctx context.Context, p tandem.Principal, purpose Purpose) (Secret, time.Time, error) {
	if purpose != Stream && purpose != Socket {
		return "", time.Time{}, tandem.Errorf(tandem.Invalid, `for must be "stream" or "socket"`)
	}
	if p.Kind != tandem.CredentialJWT && p.Kind != tandem.CredentialKey {
		return "", time.Time{}, tandem.Errorf(tandem.Forbidden, "a ticket needs a token or a key")
	}
	snapshot, err := json.Marshal(p)
	if err != nil {
		return "", time.Time{}, err
	}
	now := a.opt.Clock().UTC()
	t := store.Ticket{
		ID: tandem.NewID("ticket_", now), Tenant: p.Tenant, Purpose: string(purpose), Parent: p.ID, Principal: snapshot,
		Created: now, FirstBy: now.Add(a.opt.TicketTTL), Expires: p.Expires,
	}
	if !p.Expires.IsZero() && p.Expires.Before(t.FirstBy) {
		t.FirstBy = p.Expires
	}
	secret, hash := newSecret(ticketPrefix)
	return secret, t.FirstBy, a.opt.Store.AddTicket(ctx, t, hash)
}

func (a *Auth) judgeTicket(ctx context.Context, cred Presented, use Use) (tandem.Principal, error) {
	t, err := a.ticket(ctx, cred)
	if err != nil {
		return tandem.Principal{}, err
	}
	if t.Purpose != string(use.Purpose) {
		return tandem.Principal{}, refuse(ReasonTicket, "a ticket for another purpose")
	}
	p, err := a.parent(ctx, t)
	if err != nil {
		return tandem.Principal{}, err
	}
	p.Kind, p.ID, p.Parent = tandem.CredentialTicket, t.ID, p.ID
	here := place{Route: use.Route, Subject: p.Subject}
	if use.Address != nil && use.Purpose == Stream {
		if here.Address, err = use.Address(p); err != nil {
			return tandem.Principal{}, err
		}
	}
	return p, a.useTicket(ctx, cred, t, here)
}

// ticket returns the ticket of a credential.
func (a *Auth) ticket(ctx context.Context, cred Presented) (store.Ticket, error) {
	t, err := a.opt.Store.TicketByHash(ctx, cred.hash())
	if tandem.KindOf(err) == tandem.NotFound {
		return t, refuse(ReasonUnknown, "no such ticket")
	}
	return t, err
}

// useTicket uses t here: for the first time, in time, or again, if it is a
// stream's and was first used at the same place.
func (a *Auth) useTicket(ctx context.Context, cred Presented, t store.Ticket, here place) error {
	if t.Used.IsZero() {
		now := a.opt.Clock()
		if now.After(t.FirstBy) {
			return refuse(ReasonTicket, "not used in time")
		}
		bound, err := json.Marshal(here)
		if err != nil {
			return err
		}
		first, err := a.opt.Store.UseTicket(ctx, t.ID, bound, now)
		if first || err != nil {
			return err
		}
		if t, err = a.ticket(ctx, cred); err != nil { // somebody was quicker
			return err
		}
	}
	if t.Purpose == string(Socket) {
		return refuse(ReasonTicket, "used before")
	}
	var there place
	if err := json.Unmarshal(t.Bound, &there); err != nil || there != here {
		return refuse(ReasonTicket, "bound to another place")
	}
	return nil
}

// parent returns who t stands for, if the credential that it was made with is
// still good.
func (a *Auth) parent(ctx context.Context, t store.Ticket) (tandem.Principal, error) {
	var p tandem.Principal
	dec := json.NewDecoder(bytes.NewReader(t.Principal))
	dec.UseNumber()
	if err := dec.Decode(&p); err != nil {
		return p, err
	}
	switch {
	case p.Kind == tandem.CredentialKey:
		k, err := a.opt.Store.Key(ctx, p.ID)
		if err := a.keyStanding(k, err); err != nil {
			return p, err
		}
	case p.Signer != "":
		keys, err := a.ownKeys(ctx, p.Signer, algHS256)
		if err != nil {
			return p, err
		}
		if len(keys) == 0 {
			return p, refuse(ReasonRevoked, "the secret behind it was given up")
		}
	}
	return p, a.Recheck(ctx, p)
}
