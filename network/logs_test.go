package network

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// appender writes numbered lines as a server does, to a file that it has once opened.
func appender(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestALogIsRotatedUnderTheServerThatWritesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	f := appender(t, path)
	const limit = 1000
	line := func(k int) string { return fmt.Sprintf("line %06d\n", k) }
	for k := range 1000 {
		fmt.Fprint(f, line(k))
		if err := rotate(path, limit); err != nil {
			t.Fatal(err)
		}
	}
	current, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(path + olderPart)
	if err != nil {
		t.Fatal(err)
	}
	if len(current) > limit || len(older) > limit {
		t.Errorf("the log has %d bytes, its older part %d, want at most %d each", len(current), len(older), limit)
	}
	both := append(older, current...)
	_, both, _ = bytes.Cut(both, []byte("\n")) // the first may be cut
	first := 0
	for lines := bufio.NewScanner(bytes.NewReader(both)); lines.Scan(); first++ {
		if first == 0 {
			fmt.Sscanf(lines.Text(), "line %d", &first)
		}
		if got, want := lines.Text()+"\n", line(first); got != want {
			t.Fatalf("%q follows, want %q", got, want)
		}
	}
	if err := rotate(path+" that has gone", limit); err != nil {
		t.Errorf("a log that is removed meanwhile ends the rotation: %v", err)
	}
	if first != 1000 {
		t.Errorf("it ends before line %d", first)
	}
}

// However fast a server writes, its log holds whole lines and no hole.
func TestALogThatGrowsWhileItIsRotatedHasNoHole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	f := appender(t, path)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				fmt.Fprintln(f, strings.Repeat("x", 99))
			}
		}
	})
	for range 200 {
		if err := rotate(path, 5000); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writing.Wait()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(content)) {
		if len(text) != 100 {
			t.Fatalf("a line of %d bytes: %q", len(text), text[:min(len(text), 20)])
		}
	}
}

// An error shows what a process said last, even when that has just been rotated.
func TestTheEndOfALogGoesBackToItsOlderPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	f := appender(t, path)
	fmt.Fprintln(f, "why it ended")
	if err := rotate(path, 4); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "last words")
	if got := tail(path); !strings.Contains(got, "ded\nlast words") {
		t.Errorf("it ends %q", got)
	}
}

// What is not there yet is asked for at first at once, and then ever more seldom: a
// server may write down whoever asks in vain.
func TestPollAsksEverMoreSeldom(t *testing.T) {
	if got := pollPause(0); got != pollInterval {
		t.Errorf("at first after %v, want %v", got, pollInterval)
	}
	asked := 0
	for waited := time.Duration(0); waited < time.Minute; waited += pollPause(waited) {
		asked++
	}
	if asked > 120 {
		t.Errorf("asked %d times in a minute", asked)
	}
}
