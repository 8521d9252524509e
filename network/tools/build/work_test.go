package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// two modules that share a package: its work counts once.
func twoModules() []*module {
	return []*module{
		{name: "a", stale: map[string]int64{"x/1": 1_000_000, "x/2": 3_000_000}, links: 1},
		{name: "b", stale: map[string]int64{"x/2": 3_000_000, "x/3": 1_000_000}, links: 1},
	}
}

func TestWork(t *testing.T) {
	modules := twoModules()
	w := newWork(modules)
	w.cores = 2
	if w.packages != 3 || w.links != 2 || w.total != 5_000_000+2*bytesOfLink {
		t.Fatalf("the work is %+v", w)
	}
	step := func(want int64, do func()) {
		t.Helper()
		do()
		if w.done != want {
			t.Errorf("done %d, want %d", w.done, want)
		}
	}
	step(0, func() { w.begun("x/2") })
	step(0, func() { w.begun("x/1") })
	step(0, func() { w.begun("not in the list") })
	step(1_000_000, func() { w.begun("x/3") }) // one of two has ended: the smaller
	step(1_000_000, func() { w.begun("x/3") }) // said twice
	step(5_000_000+bytesOfLink, func() { w.built(modules[0]) })
	step(w.total, func() { w.built(modules[1]) })
	if w.percent() != 100 || w.left(time.Minute) != 0 {
		t.Errorf("at the end %d %%, %v left", w.percent(), w.left(time.Minute))
	}
	if none := newWork(nil); none.percent() != 100 || none.left(0) != 0 {
		t.Errorf("no work is %d %%, %v left", none.percent(), none.left(0))
	}
}

// The time left comes from what is expected at first, and from what was seen later.
func TestTimeLeft(t *testing.T) {
	w := &work{total: 200 * bytesPerSecond, cores: 2}
	if left := w.left(0); left != 100*time.Second {
		t.Errorf("at the beginning %v", left)
	}
	w.done = w.total / 2 // in a minute and a half, where 50 seconds were expected
	if left := w.left(90 * time.Second); left < 80*time.Second || left > 90*time.Second {
		t.Errorf("half-way %v", left)
	}
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                 "some seconds",
		14 * time.Second:  "some seconds",
		16 * time.Second:  "about 20 s",
		49 * time.Second:  "about 50 s",
		50 * time.Second:  "about 1 min",
		89 * time.Second:  "about 1 min",
		100 * time.Second: "about 2 min",
		8 * time.Minute:   "about 8 min",
	} {
		if got := about(d); got != want {
			t.Errorf("about(%v) = %q, want %q", d, got, want)
		}
	}
}

// In a pipe: what there is to do, a line for each tenth, and the end.
func TestPlainProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		p := &plain{out: &said, began: time.Now()}
		for i := range 60 {
			p.note("a", fmt.Sprintf("go: downloading example.test/%d v1.0.0", i))
		}
		time.Sleep(12 * time.Second)
		modules := twoModules()
		w := newWork(modules)
		w.cores = 2
		p.begin(w)
		for _, path := range []string{"x/2", "x/1", "# x/1", "p4.go:1:1: warning: not a package", "x/3"} {
			time.Sleep(3 * time.Second)
			p.note("a", path)
		}
		p.built(modules[0])
		p.built(modules[1])
		want := `50 modules downloaded
60 modules downloaded in 12s
3 packages to compile and 2 programs to link, about 20 s
 16 % built, about 1 min left
a: built after 15s
b: built after 15s
`
		if said.String() != want {
			t.Errorf("said:\n%swant:\n%s", said.String(), want)
		}
	})
}

// A line of the bar fits a terminal of 80 columns.
func TestBarFitsATerminal(t *testing.T) {
	w := newWork(twoModules())
	b := &bar{work: w, began: time.Now().Add(-30 * time.Second), doing: shorten("example.test/"+strings.Repeat("long/", 20), doingColumns)}
	if n := len("00:00 ") + barColumns + len(" ") + utf8.RuneCountInString(b.status()); n >= 80 {
		t.Errorf("%d columns: %s", n, b.status())
	}
}
