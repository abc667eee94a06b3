package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// A meter shows on standard error how far long work has come. Its zero is not
// ready for use: see app.meter.
type meter struct {
	a     *app
	what  string
	total int64
	kind  string // bar, plain, json or none
	size  func(int64) string

	mu    sync.Mutex
	start time.Time
	shown time.Time
	done  int64
	drawn bool
}

// meter returns a meter of total bytes.
func (a *app) meter(what string, total int64) *meter {
	m := &meter{a: a, what: what, total: total, kind: a.progress, size: size, start: time.Now()}
	if m.kind == "auto" {
		m.kind = "none"
		if _, ok := terminal(a.stderr); ok && !a.quiet {
			m.kind = "bar"
			if os.Getenv("TERM") == "dumb" {
				m.kind = "plain" // such a terminal cannot draw a line anew
			}
		}
	}
	m.shown = m.start
	a.bar.Store(m)
	return m
}

// counter returns a meter of things.
func (a *app) counter(what string, total int) *meter {
	m := a.meter(what, int64(total))
	m.size = group
	return m
}

// set tells how much is done in all.
func (m *meter) set(done int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done = done
	wait := 100 * time.Millisecond
	if !m.drawn {
		wait = 300 * time.Millisecond // short work needs no bar
	}
	if m.kind == "plain" {
		wait = 2 * time.Second
	}
	if m.kind == "none" || time.Since(m.shown) < wait {
		return
	}
	m.shown, m.drawn = time.Now(), true
	m.draw()
}

// name says what is being done now.
func (m *meter) name(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.what = what
}

// of corrects how much there is to do.
func (m *meter) of(total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = total
}

// add tells that n more bytes are done.
func (m *meter) add(n int64) {
	m.mu.Lock()
	done := m.done + n
	m.mu.Unlock()
	m.set(done)
}

func (m *meter) draw() {
	if m.a.abandoned.Load() {
		return
	}
	elapsed := time.Since(m.start).Seconds()
	rate := float64(m.done) / max(elapsed, 1e-3)
	share := 1.0
	if m.total > 0 {
		share = min(1, float64(m.done)/float64(m.total))
	}
	left := "--"
	if rate > 0 && m.total >= m.done {
		left = (time.Duration(float64(m.total-m.done)/rate) * time.Second).Round(time.Second).String()
	}
	pace := ""
	if rate >= 1 {
		pace = m.size(int64(rate)) + "/s  "
	}
	switch m.kind {
	case "json":
		fmt.Fprintf(m.a.stderr, `{"schema":"tensmith.progress/1","what":%q,"done":%d,"total":%d,"seconds":%.1f}`+"\n", m.what, m.done, m.total, elapsed)
	case "plain":
		fmt.Fprintf(m.a.stderr, "%s: %3.0f%%  %s of %s  %s%s left\n", m.what, 100*share, m.size(m.done), m.size(m.total), pace, left)
	case "bar":
		width, _ := terminal(m.a.stderr)
		words := fmt.Sprintf(" %3.0f%%  %s%s left ", 100*share, pace, left)
		room := min(40, width-len(words)-len(m.what)-4)
		if room < 5 { // a line that is too long would scroll, not be drawn anew
			words = fmt.Sprintf(" %3.0f%% ", 100*share)
			room = max(0, min(40, width-len(words)-len(m.what)-4))
		}
		full := int(share * float64(room))
		line := m.what + " " + strings.Repeat("█", full) + strings.Repeat("░", room-full) + words
		fmt.Fprintf(m.a.stderr, "\r\x1b[K%s", shorten(line, width-1))
	}
}

// clear removes the bar until it is drawn again, so that words can stand in its
// place.
func (m *meter) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kind == "bar" && m.drawn {
		fmt.Fprint(m.a.stderr, "\r\x1b[K")
	}
}

// end removes the bar.
func (m *meter) end() {
	m.clear()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kind = "none"
}
