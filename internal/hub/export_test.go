package hub

// Seats is how many of the staff the hub remembers.
func (h *Hub) Seats() int {
	h.duty.mu.Lock()
	defer h.duty.mu.Unlock()
	return len(h.duty.seats)
}

// The bounds of what is kept in memory.
const (
	NoticeLen  = noticeLen
	MaxPresent = maxPresent
	MaxSeats   = maxSeats
)

// Newest is the seq of the last event that rang, as a reader of the store would
// find it.
func (w *Watcher) Newest() int64 {
	w.topic.mu.Lock()
	defer w.topic.mu.Unlock()
	if n := len(w.topic.tail); n > 0 {
		return w.topic.tail[n-1].Event.Seq
	}
	return 0
}
