//go:build !linux

package api

import "net"

// tune does nothing where the kernel has no such options.
func tune(net.Conn) {}
