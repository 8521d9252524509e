package main

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"
)

// What compiling costs, measured over the 2,100 packages of all programs with an
// empty cache: a core compiles so many bytes of sources a second, whether they are Go
// or C, and links a program in the time of so many.
const (
	bytesPerSecond = 150_000
	bytesOfLink    = 500_000
)

// work is what has to be compiled and linked, and how far that is. Sizes of sources
// stand for the time that they take.
type work struct {
	waiting  map[string]int64 // package -> size
	running  []int64          // sizes of those in hand, the smallest first
	cores    int
	total    int64
	done     int64
	packages int
	links    int
}

// newWork is the work on all modules; a package of several is compiled once.
func newWork(modules []*module) *work {
	w := &work{waiting: map[string]int64{}, cores: runtime.GOMAXPROCS(0)}
	for _, m := range modules {
		maps.Copy(w.waiting, m.stale)
		w.links += m.links
	}
	w.packages = len(w.waiting)
	for _, size := range w.waiting {
		w.total += size
	}
	w.total += int64(w.links) * bytesOfLink
	return w
}

// begun notes that Go begins with a package. It says so of as many as there are
// cores, so that one of them has ended before: most likely the smallest.
func (w *work) begun(path string) {
	size, ok := w.waiting[path]
	if !ok {
		return
	}
	delete(w.waiting, path)
	if len(w.running) >= w.cores {
		w.done += w.running[0]
		w.running = w.running[1:]
	}
	w.running = append(w.running, size)
	slices.Sort(w.running)
}

// built notes that a module is built.
func (w *work) built(m *module) {
	for path := range m.stale {
		w.done += w.waiting[path]
		delete(w.waiting, path)
	}
	for _, size := range w.running {
		w.done += size
	}
	w.running = nil
	w.done += int64(m.links) * bytesOfLink
}

// percent is how much of the work is done.
func (w *work) percent() int64 {
	if w.total == 0 {
		return 100
	}
	return 100 * w.done / w.total
}

// left is about how long the rest takes when this much took the time that has passed.
// The speed expected counts as if a tenth had been done at it.
func (w *work) left(passed time.Duration) time.Duration {
	expected := time.Duration(w.total) * time.Second / time.Duration(bytesPerSecond*w.cores)
	tenth := w.total / 10
	if w.done+tenth == 0 {
		return 0
	}
	return time.Duration(float64(passed+expected/10) * float64(w.total-w.done) / float64(w.done+tenth))
}

// about says a time so that nobody takes it for exact.
func about(d time.Duration) string {
	switch {
	case d < 15*time.Second:
		return "some seconds"
	case d < 50*time.Second:
		return fmt.Sprintf("about %d s", (d+5*time.Second)/(10*time.Second)*10)
	}
	return fmt.Sprintf("about %d min", max(1, (d+30*time.Second)/time.Minute))
}
