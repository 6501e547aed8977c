package desk

import tandem "github.com/seed4677ff1f/tandem"

// Shutdown asks every open stream to end because the server does, and returns how
// many there were. Streams that begin later are not asked: who opens them must
// see to that.
func (d *Desk) Shutdown() int {
	return d.hub.EndStreams(func(tandem.Principal) bool { return true }, EndShutdown)
}
