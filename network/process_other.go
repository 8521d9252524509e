//go:build !linux

package network

import (
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// startOf says when a process started, so that it can be told from a later one
// with the same ID.
func startOf(pid int) (started string, alive bool) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, started, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || !ok || strings.HasPrefix(state, "Z") {
		return "", false
	}
	return strings.TrimSpace(started), true
}

// usage is a process's resident memory in bytes; the processor time is not told.
func usage(pid int) (memory int64, processor time.Duration) {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, 0
	}
	kib, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kib << 10, 0
}

// suspended reports whether a process is stopped by a signal, as SIGSTOP does.
func suspended(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(out)), "T")
}

// marked finds the processes that have a variable in the environment they were
// started with, and its value in each, which has no space. Those of other users
// are not seen.
func marked(variable string) map[int]string {
	found := map[int]string{}
	out, _ := exec.Command("ps", "axeww", "-o", "pid=,command=").Output()
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, word := range words {
			if value, ok := strings.CutPrefix(word, variable+"="); ok {
				if pid, err := strconv.Atoi(words[0]); err == nil {
					found[pid] = value
				}
			}
		}
	}
	return found
}
