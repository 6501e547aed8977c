package auth

import (
	"context"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Tenant is a tenant and when it was made.
type Tenant = store.Tenant

// rootTenant is the tenant whose owners may make others over the network.
const rootTenant = "default"

// hosts returns nil if p may see and make tenants: an owner of the default tenant.
func hosts(p tandem.Principal) error {
	if err := Administers(p); err != nil {
		return err
	}
	if p.Tenant != rootTenant {
		return tandem.Errorf(tandem.Forbidden, "For owners of the tenant %q only.", rootTenant)
	}
	return nil
}

// Tenants lists all tenants by name. Forbidden for all but owners of the default
// tenant.
func (a *Auth) Tenants(ctx context.Context, p tandem.Principal) ([]Tenant, error) {
	if err := hosts(p); err != nil {
		return nil, err
	}
	return a.opt.Store.Tenants(ctx)
}

// CreateTenant makes a tenant and its first owner: an account in which only
// Tenant, Role and By are not the caller's to choose. From then on nobody of
// another tenant administers it. Errors: Forbidden for all but owners of the
// default tenant; Invalid; Conflict if there is such a tenant.
func (a *Auth) CreateTenant(ctx context.Context, p tandem.Principal, name string, owner AccountRequest) (Account, error) {
	if err := hosts(p); err != nil {
		return Account{}, err
	}
	owner.Tenant, owner.Role = name, tandem.Owner
	made, err := a.newAccount(ctx, owner)
	if err != nil {
		return Account{}, err
	}
	if err := a.opt.Store.AddTenant(ctx, name, auditOf(p, p.Tenant, "tenant-add")); err != nil {
		return Account{}, err
	}
	// In the new tenant's audit nobody of another one has a name.
	return a.addAccount(ctx, made, tandem.Principal{Tenant: name, Role: tandem.Owner, Kind: p.Kind, From: p.From})
}
