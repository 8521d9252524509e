package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// mostGarbage is how much memory may lie about uncollected, in bytes.
const mostGarbage = 16 << 20

// boundGarbage has garbage collected when it has grown to most bytes, where the runtime by
// itself lets it grow to as much as all that is in use: images, features and networks are
// large, and that would be twice their memory. They hold no pointers, so that a collection
// takes milliseconds. It does nothing where the environment has GOGC.
func boundGarbage(most uint64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	type sentinel struct{ _ *int } // a pointer, or it would share its memory with others
	live, percent := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, uint64(100)
	var collected func(*sentinel)
	collected = func(*sentinel) { // once a collection
		metrics.Read(live)
		if want := min(100, 100*most/max(1, live[0].Value.Uint64())); want != percent {
			percent = want
			debug.SetGCPercent(int(max(1, want)))
		}
		runtime.SetFinalizer(new(sentinel), collected)
	}
	runtime.SetFinalizer(new(sentinel), collected)
}
