// Package web holds the pages that the server hands out. They need no build
// step, no script and nothing from another host, so that the strictest
// Content-Security-Policy suits them.
package web

import "embed"

// Files holds index.html, the page of links that is shown at /. It is read-only.
//
//go:embed index.html
var Files embed.FS
