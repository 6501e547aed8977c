package api

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tune asks the kernel to keep little of what a slow peer has not taken yet: at
// most 16 KiB that were not sent, so that it gets new events next and not old
// ones first; and to give up on one that acknowledges nothing for a minute. Linux
// also gives up on one that acknowledges, but has left its window shut for that
// time: it comes back and goes on after its last id.
func tune(conn net.Conn) {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // these are improvements: without them all works too
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 16<<10)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 60_000)
	})
}
