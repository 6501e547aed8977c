package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to date. It has a connection of its own, which is
// closed before the store is used.
func migrate(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", dsn(file, false))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", Database, err)
	}
	return mayWrite(ctx, db)
}

// writerVersion is what this release knows how to write. A release that stores what an
// older one would spoil raises it, and meta.min_writer in a migration.
const writerVersion = 1

// mayWrite refuses a database that only a newer release may write.
func mayWrite(ctx context.Context, db *sql.DB) error {
	var least int
	if err := db.QueryRowContext(ctx, `select v from meta where k = 'min_writer'`).Scan(&least); err != nil {
		return fmt.Errorf("read %s: %w", Database, err)
	}
	if least > writerVersion {
		return fmt.Errorf("%s was written by a newer release (it asks for writer %d, this is %d)", Database, least, writerVersion)
	}
	return nil
}
