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
