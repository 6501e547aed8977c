package store

import (
	"errors"
	"time"

	tandem "github.com/seed4677ff1f/tandem"
	"modernc.org/sqlite"
)

// SQLite result codes (https://www.sqlite.org/rescode.html), low byte.
const (
	sqliteBusy  = 5
	sqliteIOErr = 10
	sqliteFull  = 13
	sqliteRule  = 19 // SQLITE_CONSTRAINT
)

// coded is a database error with a result code; the driver's is one.
type coded interface{ Code() int }

var _ coded = (*sqlite.Error)(nil)

func sqliteCode(err error) int {
	if e := coded(nil); errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// errFull says that there is no space; the poster may try again later.
func errFull(cause error) error {
	return &tandem.Error{Kind: tandem.Unavailable, Message: "no space left to store messages", Err: cause, RetryAfter: 5 * time.Second}
}

// classify turns an unexpected database error into one with a kind.
func classify(err error) error {
	if e := (*tandem.Error)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	switch sqliteCode(err) {
	case sqliteFull:
		return errFull(err)
	case sqliteBusy:
		return &tandem.Error{Kind: tandem.Unavailable, Message: "the store is busy", Err: err, RetryAfter: time.Second}
	case sqliteIOErr:
		return &tandem.Error{Kind: tandem.Unavailable, Message: "the store cannot be written", Err: err, RetryAfter: 5 * time.Second}
	}
	return err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
