// Package web holds the pages that the server hands out. They need no build
// step, no script and nothing from another host.
package web

import "embed"

// Files holds index.html, the page of links at /, and what it refers to. It is
// read-only. The server sends it with [Policy].
//
//go:embed index.html index.css icon.svg
var Files embed.FS

// Policy is the Content-Security-Policy of the pages: they bring no script and
// no inline style, load nothing from elsewhere and may not be framed.
const Policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
