package api

import (
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher notices that the clients of streams are gone: one goroutine and one
// epoll for all of them, where a goroutine that reads would cost each idle stream
// more than all the rest of it. The kernel tells when a client has closed its side
// (EPOLLRDHUP) or is lost; what a client sends is left in the kernel unread.
type watcher struct {
	epoll, bell int // descriptors; bell wakes the goroutine at the end
	done        chan struct{}
	reader      dropper // of connections that have no descriptor to watch

	mu    sync.Mutex // guards slots, free
	slots []slot
	free  []int32
}

// slot is one watched connection. Descriptors are used again at once, so an event
// names the slot, and which of its users is meant.
type slot struct {
	use  int32
	gone func()
}

// newWatcher returns a watcher; without descriptors left it is one that reads.
func newWatcher() *watcher {
	w := &watcher{epoll: -1, done: make(chan struct{})}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		w.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err == nil {
			err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, w.bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1})
		}
	}
	if err != nil {
		close(w.done)
		return w
	}
	w.epoll = epoll
	go w.run()
	return w
}

// watch calls gone, once, when the client has closed conn or is lost. The caller
// calls forget in the end, after which gone is not called any more, and closes conn.
func (w *watcher) watch(conn net.Conn, gone func()) (forget func()) {
	sys, ok := conn.(syscall.Conn)
	if !ok || w.epoll < 0 {
		return w.reader.watch(conn, gone)
	}
	i, use := w.take(gone)
	raw, err := sys.SyscallConn()
	if err == nil {
		adding := raw.Control(func(fd uintptr) {
			err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: i, Pad: use})
		})
		if err == nil {
			err = adding
		}
	}
	if err != nil {
		w.put(i)
		return w.reader.watch(conn, gone)
	}
	return func() { w.put(i) }
}

func (w *watcher) take(gone func()) (i, use int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.free); n > 0 {
		i, w.free = w.free[n-1], w.free[:n-1]
	} else {
		i = int32(len(w.slots))
		w.slots = append(w.slots, slot{})
	}
	s := &w.slots[i]
	s.use++
	s.gone = gone
	return i, s.use
}

func (w *watcher) put(i int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots[i].gone = nil
	w.free = append(w.free, i)
}

func (w *watcher) run() {
	defer close(w.done)
	events := make([]unix.EpollEvent, 64)
	for {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd < 0 {
				return
			}
			w.tell(e.Fd, e.Pad)
		}
	}
}

func (w *watcher) tell(i, use int32) {
	w.mu.Lock()
	s := w.slots[i]
	w.mu.Unlock()
	if s.use == use && s.gone != nil {
		s.gone()
	}
}

// close ends the watcher, when nothing is watched any more.
func (w *watcher) close() {
	w.reader.close()
	if w.epoll < 0 {
		return
	}
	_, _ = unix.Write(w.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // a counter of 0 always takes 1
	<-w.done
	unix.Close(w.bell)
	unix.Close(w.epoll)
	w.epoll = -1 // closed twice, the numbers would be somebody else's
}
