package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
)

// A SigningKey is one of the server's own HS256 keys. Exactly one is current and
// signs; retired ones verify what they signed until Until.
type SigningKey struct {
	ID      string // the kid
	Bytes   []byte // 32 random bytes; never logged
	Current bool
	Created time.Time
	Until   time.Time // of a retired one
}

const signingColumns = `select kid, bytes, coalesce(is_current, 0), created_at, until from secret `

// SigningKey returns the current signing key. The first caller, in whatever
// process, makes it; everybody then gets the same.
func (s *Store) SigningKey(ctx context.Context) (SigningKey, error) {
	k, err := scanSigning(s.readers.QueryRowContext(ctx, signingColumns+`where is_current = 1`))
	if tandem.KindOf(err) != tandem.NotFound {
		return k, err
	}
	var made SigningKey
	err = s.update(ctx, func(ctx context.Context, q querier) (err error) {
		if err := s.addSigning(ctx, q); err != nil {
			return err
		}
		made, err = scanSigning(q.QueryRowContext(ctx, signingColumns+`where is_current = 1`))
		return err
	})
	if err != nil {
		return SigningKey{}, err
	}
	return made, nil
}

// SigningKeyByID returns the signing key with this kid, current or retired;
// NotFound if there is none.
func (s *Store) SigningKeyByID(ctx context.Context, kid string) (SigningKey, error) {
	return scanSigning(s.readers.QueryRowContext(ctx, signingColumns+`where kid = ?`, kid))
}

// RotateSigningKey retires the current signing key, so that what it signed stays
// good until then, and returns a new current one. If until is zero, all that any
// earlier key has signed is revoked at once.
func (s *Store) RotateSigningKey(ctx context.Context, until time.Time) (SigningKey, error) {
	var made SigningKey
	err := s.update(ctx, func(ctx context.Context, q querier) (err error) {
		if until.IsZero() {
			err = dropSigning(ctx, q, s.clock())
		} else {
			_, err = q.ExecContext(ctx, `update secret set is_current = null, until = ? where is_current = 1`, micros(until))
		}
		if err != nil {
			return err
		}
		if _, err := raiseRevocations(ctx, q); err != nil { // servers remember secrets until rev changes
			return err
		}
		if err := s.addSigning(ctx, q); err != nil {
			return err
		}
		made, err = scanSigning(q.QueryRowContext(ctx, signingColumns+`where is_current = 1`))
		return err
	})
	if err != nil {
		return SigningKey{}, err
	}
	return made, nil
}

// dropSigning forgets all signing keys and revokes what they signed.
func dropSigning(ctx context.Context, q querier, now time.Time) error {
	rows, err := q.QueryContext(ctx, `delete from secret returning kid`)
	if err != nil {
		return err
	}
	var kids []string
	for rows.Next() {
		var kid string
		if err := rows.Scan(&kid); err != nil {
			return errors.Join(err, rows.Close())
		}
		kids = append(kids, kid)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, kid := range kids {
		// An hour: only streams that are open now have to hear of it.
		if _, err := addRevoked(ctx, q, 0, Revocation{What: RevokedSecret, Name: kid, At: now, Until: now.Add(time.Hour)}); err != nil {
			return err
		}
	}
	return nil
}

// addSigning makes a current signing key unless there is one.
func (s *Store) addSigning(ctx context.Context, q querier) error {
	now := s.clock()
	b := make([]byte, 32)
	rand.Read(b)
	_, err := q.ExecContext(ctx, `insert into secret (kid, bytes, is_current, created_at, until) values (?, ?, 1, ?, 0) on conflict (is_current) do nothing`,
		tandem.NewID("own_", now), b, micros(now))
	return err
}

func scanSigning(row scanner) (SigningKey, error) {
	var k SigningKey
	var created, until int64
	err := row.Scan(&k.ID, &k.Bytes, &k.Current, &created, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return SigningKey{}, tandem.Errorf(tandem.NotFound, "there is no such signing key")
	}
	if err != nil {
		return SigningKey{}, classify(err)
	}
	k.Created, k.Until = fromMicros(created), fromMicros(until)
	return k, nil
}
