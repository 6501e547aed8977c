package auth

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	tandem "github.com/seed4677ff1f/tandem"
	"github.com/seed4677ff1f/tandem/internal/store"
)

// Account is somebody who can sign in. Its Password is always empty: not even the
// hash leaves this package.
type Account = store.Account

// maxWorkflows is how many workflows an account may list, and maxWorkflowBytes
// how long their names may be together: the list is in each of its tokens.
const (
	maxWorkflows     = 50
	maxWorkflowBytes = 4096
)

// AccountRequest says what a new account is to be.
type AccountRequest struct {
	Tenant    string // made if it does not exist
	Username  string // letters, digits and . _ - + @; letter case does not matter
	Email     string // may be empty; who signs in may say it in place of the username
	Name      string // display name; may be empty
	Role      tandem.PrincipalRole
	Workflows []string // of an operator or supervisor: only these; of a participant: one at most
	Password  Secret

	By tandem.Principal // who makes it; zero: a command
}

// CreateAccount makes an account. It makes the tenant if need be, so the caller
// decides whether it may. Errors: Invalid; Conflict if the username or e-mail
// address is taken.
func (a *Auth) CreateAccount(ctx context.Context, r AccountRequest) (Account, error) {
	made, err := a.newAccount(ctx, r)
	if err != nil {
		return Account{}, err
	}
	if err := a.opt.Store.EnsureTenant(ctx, r.Tenant); err != nil {
		return Account{}, err
	}
	return a.addAccount(ctx, made, r.By)
}

func (a *Auth) addAccount(ctx context.Context, made Account, by tandem.Principal) (Account, error) {
	if err := a.opt.Store.AddAccount(ctx, made, auditOf(by, made.Tenant, "user-add")); err != nil {
		return Account{}, err
	}
	return a.Account(ctx, made.Tenant, made.Username)
}

// newAccount is the account that is asked for, before it is stored.
func (a *Auth) newAccount(ctx context.Context, r AccountRequest) (Account, error) {
	made := Account{Tenant: r.Tenant, Username: strings.ToLower(r.Username), Email: strings.ToLower(r.Email), Name: r.Name, Role: r.Role}
	if err := checkUsername(r.Username); err != nil {
		return Account{}, err
	}
	if err := tandem.ValidLabel("email", r.Email); err != nil { // before ToLower, which hides invalid UTF-8
		return Account{}, err
	}
	if err := checkPassword(r.Password); err != nil {
		return Account{}, err
	}
	var err error
	if made.Workflows, err = workflowList(r.Tenant, r.Workflows); err != nil {
		return Account{}, err
	}
	if err := checkAccount(made); err != nil {
		return Account{}, err
	}
	made.Password, err = a.hasher.hash(ctx, r.Password)
	return made, err
}

// AccountChange is what of an account is to change; nil leaves a field alone.
type AccountChange struct {
	Email     *string
	Name      *string
	Role      *tandem.PrincipalRole
	Workflows *[]string
	Password  *Secret
	Disabled  *bool

	// KeepOwner refuses, with Conflict, what would leave the tenant without an
	// owner who can sign in. A command may do even that, since it can make one.
	KeepOwner bool

	By tandem.Principal // who changes it; zero: a command
}

// ChangeAccount changes an account and returns it as it is then. All that it was
// given until now is taken back with it, also the API keys made for a participant
// of that name, and its open streams end: they say what it was before. A change
// that changes nothing takes nothing back. Errors: Invalid, NotFound, Conflict.
func (a *Auth) ChangeAccount(ctx context.Context, tenant, username string, c AccountChange) (Account, error) {
	before, err := a.Account(ctx, tenant, username)
	if err != nil {
		return Account{}, err
	}
	if c.Email != nil {
		if err := tandem.ValidLabel("email", *c.Email); err != nil {
			return Account{}, err
		}
	}
	to := store.AccountChange{Email: c.Email, Name: c.Name, Role: c.Role, Disabled: c.Disabled, KeepOwner: c.KeepOwner, Until: a.forgetAfter(), By: auditOf(c.By, tenant, "")}
	if c.Workflows != nil {
		list, err := workflowList(tenant, *c.Workflows)
		if err != nil {
			return Account{}, err
		}
		to.Workflows = &list
	}
	if err := checkAccount(to.Of(before, a.opt.Clock())); err != nil {
		return Account{}, err
	}
	if c.Password != nil {
		if err := checkPassword(*c.Password); err != nil {
			return Account{}, err
		}
		hash, err := a.hasher.hash(ctx, *c.Password)
		if err != nil {
			return Account{}, err
		}
		to.Password = &hash
	}
	after, err := a.opt.Store.ChangeAccount(ctx, tenant, before.Username, to)
	if err != nil {
		return Account{}, err
	}
	after.Password = ""
	return after, a.changed(ctx)
}

// Account returns an account by its username; NotFound if there is none.
func (a *Auth) Account(ctx context.Context, tenant, username string) (Account, error) {
	found, err := a.opt.Store.Account(ctx, tenant, username)
	if err == nil && found.Username != strings.ToLower(username) || tandem.KindOf(err) == tandem.NotFound {
		err = tandem.Errorf(tandem.NotFound, "There is no account '%s'.", username)
	}
	found.Password = ""
	return found, err
}

// Accounts lists a tenant's accounts by username, disabled ones too.
func (a *Auth) Accounts(ctx context.Context, tenant string) ([]Account, error) {
	list, err := a.opt.Store.Accounts(ctx, tenant)
	for i := range list {
		list[i].Password = ""
	}
	return list, err
}

// checkAccount says why there cannot be such an account.
func checkAccount(of Account) error {
	switch of.Role {
	case tandem.Operator, tandem.Supervisor:
	case tandem.Participant:
		if len(of.Workflows) > 1 {
			return tandem.Errorf(tandem.Invalid, "a participant's account can be of one workflow at most")
		}
	case tandem.Owner:
		if len(of.Workflows) > 0 {
			return tandem.Errorf(tandem.Invalid, "an owner administers all of the tenant: workflows are for the other roles")
		}
	default:
		return tandem.Errorf(tandem.Invalid, "role must be participant, operator, supervisor or owner")
	}
	if strings.ContainsFunc(of.Email, unicode.IsSpace) || of.Email != "" && !strings.Contains(of.Email, "@") {
		return tandem.Errorf(tandem.Invalid, "email is not an e-mail address")
	}
	return tandem.ValidLabel("name", of.Name)
}

// checkUsername keeps usernames to what can be typed, read out and put into a
// path: they are subjects of tokens and names in the audit.
func checkUsername(s string) error {
	if s == "" {
		return tandem.Errorf(tandem.Invalid, "username is required")
	}
	if err := tandem.ValidLabel("username", s); err != nil {
		return err
	}
	for i, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && (i == 0 || !unicode.IsMark(r) && !strings.ContainsRune("._-+@", r)) {
			return tandem.Errorf(tandem.Invalid, "username can have letters, digits and . _ - + @, and begins with a letter or a digit")
		}
	}
	return nil
}

// workflowList brings the workflows of an account into their one form.
func workflowList(tenant string, list []string) ([]string, error) {
	made, bytes := []string{}, 0
	for _, w := range list {
		w = tandem.ParseWorkflow(tenant, w)
		if w == "" {
			return nil, tandem.Errorf(tandem.Invalid, "a workflow has no name")
		}
		if err := checkNames(w, "", ""); err != nil {
			return nil, err
		}
		if !slices.Contains(made, w) {
			made = append(made, w)
			bytes += len(w)
		}
	}
	if len(made) > maxWorkflows || bytes > maxWorkflowBytes {
		return nil, tandem.Errorf(tandem.Invalid, "an account can list %d workflows at most, and %d bytes of names", maxWorkflows, maxWorkflowBytes)
	}
	return made, nil
}

// mintRequest is the token that an account gets when it signs in.
func mintRequest(of Account, ttl time.Duration) MintRequest {
	r := MintRequest{
		Tenant: of.Tenant, Subject: of.Username, Role: of.Role, Name: of.Name, Email: of.Email, Workflows: of.Workflows, TTL: ttl,
	}
	if of.Role == tandem.Participant && len(of.Workflows) == 1 {
		r.Workflow, r.Workflows = of.Workflows[0], nil
	}
	return r
}
