//go:build !linux

package api

type watcher = dropper

func newWatcher() *watcher { return &dropper{} }
