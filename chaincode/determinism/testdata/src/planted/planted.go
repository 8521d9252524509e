// Package planted holds each fault once, and what is allowed beside it.
package planted

import (
	"errors"
	"maps"
	"math/rand" // want `import of math/rand`
	"os"        // want `import of os`
	"reflect"
	"regexp"
	"slices"
	"sort"
	"sync" // want `import of sync`
	"time"
)

var counter int                 // want `package-level variable counter can hold state`
var lock sync.Mutex             // want `package-level variable lock can hold state`
var queue chan int              // want `package-level variable queue can hold state`
var shared = &struct{ n int }{} // want `package-level variable shared can hold state`

var (
	errFixed = errors.New("allowed: never assigned")
	pattern  = regexp.MustCompile("allowed")
	table    = map[string][]string{"allowed": {"while", "nobody", "writes"}}
	written  = map[string]int{}
)

func state() {
	counter++            // want `counter is changed`
	written["a"] = 1     // want `written is changed`
	delete(written, "a") // want `written is changed`
	shared.n = 2         // want `shared is changed`
	_ = &table           // want `table is changed`
	local := 0
	local++
	_ = table["allowed"]
	_, _ = errFixed, pattern
}

func clocks() {
	_ = time.Now()               // want `time.Now`
	time.Sleep(time.Second)      // want `time.Sleep`
	_ = time.Unix(0, 0).String() // want `time.Unix without`
	_ = time.Unix(0, 0).UTC()
	_ = time.Unix(0, 0).In(time.Local) // want `time.Unix without` `time.Local`
	_ = time.Duration(3) * time.Second
}

func randomness() int { return rand.Int() }

func machine() string { return os.Getenv("HOME") }

func concurrency(c chan int) {
	go clocks() // want `goroutine`
	c <- 1      // want `channel`
	select {}   // want `channel`
}

func order(m map[string]int) []string {
	var out []string
	for k, v := range m { // want `range over a map`
		_ = v
		out = append(out, k)
	}
	for k := range m { // want `range over a map`
		out = append(out, k)
	}
	_ = slices.Collect(maps.Keys(m)) // want `maps.Keys in no fixed order`
	_ = slices.Sorted(maps.Keys(m))
	_ = reflect.ValueOf(m).MapKeys() // want `reflect MapKeys`
	return out
}

func sortedOrder(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func floats(a, b int) int {
	var f float64 = 1 // want `float64: the ledger holds integers only`
	f = f * 2         // want `floating-point arithmetic`
	_ = 0.5           // want `floating-point literal`
	return int(f) + a/b
}
