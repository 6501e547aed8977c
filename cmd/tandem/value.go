package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/seed4677ff1f/tandem"
)

// setScalar reads text into v as a flag, a variable and the file all write it.
// The error is the end of a sentence that begins with the option's name.
func setScalar(v reflect.Value, text string) (err error) {
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = text
	case *bool:
		if *p, err = strconv.ParseBool(text); err != nil {
			err = errors.New("want true or false")
		}
	case *int:
		if *p, err = strconv.Atoi(text); err != nil || *p < 0 {
			err = errors.New("want a whole number, 0 or more")
		}
	case *time.Duration:
		*p, err = parseDuration(text)
	case *tandem.Rate:
		*p, err = parseRate(text)
	case *netip.Prefix:
		*p, err = parsePrefix(text)
	case *slog.Level:
		*p, err = parseLevel(text)
	default:
		panic("option of type " + v.Type().String())
	}
	return err
}

// setList reads texts into v: all of them if v is a list, else the only one.
func setList(v reflect.Value, texts []string) error {
	if v.Kind() != reflect.Slice {
		if len(texts) != 1 {
			return errors.New("want one value, not a list")
		}
		return setScalar(v, texts[0])
	}
	list := reflect.MakeSlice(v.Type(), len(texts), len(texts))
	for i, text := range texts {
		if err := setScalar(list.Index(i), text); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// split reads what a variable or a default writes for one option: lists are
// separated by commas, and an empty text is an empty list.
func split(v reflect.Value, text string) []string {
	if v.Kind() != reflect.Slice {
		return []string{text}
	}
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// format writes a value as setScalar reads it.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case tandem.Rate:
		if x == (tandem.Rate{}) {
			return "0"
		}
		return fmt.Sprintf("%d/%s", x.N, formatDuration(x.Per))
	case slog.Level:
		return strings.ToLower(x.String())
	default:
		return fmt.Sprint(x)
	}
}

const day = 24 * time.Hour

var errDuration = errors.New("want a duration such as 30s, 15m, 24h or 180d; 0 switches it off")

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, errDuration
		}
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errDuration
	}
	return d, nil
}

func formatDuration(d time.Duration) string {
	in := func(unit time.Duration, name string) string { return strconv.FormatInt(int64(d/unit), 10) + name }
	switch {
	case d == 0:
		return "0"
	case d > day && d%day == 0:
		return in(day, "d")
	case d%time.Hour == 0:
		return in(time.Hour, "h")
	case d%time.Minute == 0:
		return in(time.Minute, "m")
	case d%time.Second == 0:
		return in(time.Second, "s")
	}
	return d.String()
}

var errRate = errors.New("want a rate such as 200/1m (200 in every minute); 0 switches it off")

func parseRate(s string) (tandem.Rate, error) {
	if s == "0" {
		return tandem.Rate{}, nil
	}
	count, per, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || n == 0 {
		return tandem.Rate{}, errRate
	}
	d, err := parseDuration(per)
	if err != nil || d <= 0 {
		return tandem.Rate{}, errRate
	}
	return tandem.Rate{N: int(n), Per: d}, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return addr.Prefix(addr.BitLen())
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("want a network such as 10.0.0.0/8, or an address")
	}
	return prefix.Masked(), nil
}

func parseLevel(s string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(s, level.String()) {
			return level, nil
		}
	}
	return 0, errors.New("want debug, info, warn or error")
}
