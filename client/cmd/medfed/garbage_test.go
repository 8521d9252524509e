package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestGarbageIsBounded: beside much that is in use little garbage lies about.
func TestGarbageIsBounded(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	const most, used = 16 << 20, 200 << 20
	boundGarbage(most)
	data := make([]byte, used)
	var heap runtime.MemStats
	var highest uint64
	for i := range 400 { // 400 MB
		garbage = make([]byte, 1<<20)
		if i < 20 { // the collector has to have seen the data
			continue
		}
		runtime.ReadMemStats(&heap)
		highest = max(highest, heap.HeapAlloc)
	}
	if highest > used+4*most {
		t.Errorf("%d MB lie beside %d that are in use", highest>>20-used>>20, used>>20)
	}
	runtime.KeepAlive(data)
}

var garbage []byte
