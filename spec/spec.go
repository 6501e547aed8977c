// Package spec holds the two descriptions of Tandem's public faces: openapi.yaml
// for everything that is asked over HTTP (event streams too) and asyncapi.yaml
// for the frames of the chat socket. The server hands them out at /openapi.yaml
// and /asyncapi.yaml; package spec/check holds recorded answers against them.
package spec

import "embed"

// Files holds openapi.yaml and asyncapi.yaml as they are served. It is read-only.
//
//go:embed openapi.yaml asyncapi.yaml
var Files embed.FS
