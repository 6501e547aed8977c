package api

import (
	"net"
	"sync"
)

// dropper notices that clients are gone with a goroutine for each: where there is
// nothing better.
type dropper struct{ group sync.WaitGroup }

// maxStray is how many bytes a client may send on a stream, where it has nothing
// to say.
const maxStray = 64 << 10

// watch calls gone, once, when the client has closed conn or is lost. The caller
// calls forget in the end, after which gone is not called any more, and closes conn.
func (d *dropper) watch(conn net.Conn, gone func()) (forget func()) {
	d.group.Go(func() {
		defer gone()
		var few [64]byte
		for stray := 0; stray < maxStray; {
			n, err := conn.Read(few[:])
			if stray += n; err != nil {
				return
			}
		}
	})
	return gone
}

// close returns when nothing is watched any more.
func (d *dropper) close() { d.group.Wait() }
