package tandem

import "time"

// Limits are the numbers at which Tandem says no. They hold per node. A zero
// rate, count or size switches that limit off.
type Limits struct {
	Requests     Rate          // requests per participant, operator, or address before sign-in: 200/1m
	Logins       Rate          // attempts to sign in that fail, per account and per address: 5/1m
	PostShare    int           // a participant's posts may be the PostShare-th part of Requests: 10
	Streams      int           // open streams per participant or operator; of an agent key, per participant it names: 20
	Body         int           // bytes of a request body: 1 MiB
	Frame        int           // bytes of a WebSocket message from a client: 64 KiB
	Text         int           // Unicode code points of a text from a person: 8,000
	Answer       int           // bytes of an agent's answer or push: 256 KiB
	Depth        int           // nesting of JSON that is stored: 64
	HeartbeatMin time.Duration // of a stream's heartbeat interval: 1 s
	HeartbeatMax time.Duration // 300 s
	Page         int           // messages on one page of history at most: 200
	Batch        int           // messages in one post to a conversation: 100
	Sessions     int           // sessions of one user: 100
	Inbox        int           // messages kept for a user without a session: 100
	Watch        int           // conversations that one board stream may watch: 50
	Tickets      time.Duration // how long an unused ticket is good: 60 s
	Stall        time.Duration // a stream that takes no byte for so long is closed: 10 min
}

// DefaultLimits are the limits of a server that was told nothing else.
func DefaultLimits() Limits {
	return Limits{
		Requests:     Rate{200, time.Minute},
		Logins:       Rate{5, time.Minute},
		PostShare:    10,
		Streams:      20,
		Body:         1 << 20,
		Frame:        64 << 10,
		Text:         8000,
		Answer:       256 << 10,
		Depth:        64,
		HeartbeatMin: time.Second,
		HeartbeatMax: 300 * time.Second,
		Page:         200,
		Batch:        100,
		Sessions:     100,
		Inbox:        100,
		Watch:        50,
		Tickets:      time.Minute,
		Stall:        10 * time.Minute,
	}
}
