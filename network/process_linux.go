package network

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Fields of /proc/<pid>/stat, counted from the one after the program's name; see proc(5).
const (
	statState     = 0
	statUserTime  = 11
	statKernel    = 12
	statThreads   = 17
	statStartTime = 19
	statPages     = 21
)

// ticksPerSecond is the unit of times in /proc, the same on every Linux.
const ticksPerSecond = 100

// stat reads /proc/<pid>/stat; ok is false when there is no such process or it
// has ended and only waits for its parent to notice. One whose first thread has
// ended while others still do has not: it may hold its ports.
func stat(pid int) (fields []string, ok bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, false
	}
	fields = strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) <= statPages {
		return nil, false
	}
	ended := fields[statState] == "Z" || fields[statState] == "X"
	return fields, !ended || number(fields[statThreads]) > 1
}

// startOf says when a process started (the boot and the clock ticks since), so
// that it can be told from a later one with the same ID.
func startOf(pid int) (started string, alive bool) {
	fields, ok := stat(pid)
	if !ok {
		return "", false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[statStartTime], true
}

// usage is a process's resident memory in bytes and the processor time it has used.
func usage(pid int) (memory int64, processor time.Duration) {
	fields, ok := stat(pid)
	if !ok {
		return 0, 0
	}
	ticks := number(fields[statUserTime]) + number(fields[statKernel])
	return number(fields[statPages]) * int64(os.Getpagesize()), time.Duration(ticks) * time.Second / ticksPerSecond
}

// number reads a field, which the kernel wrote.
func number(field string) int64 {
	v, _ := strconv.ParseInt(field, 10, 64)
	return v
}

// suspended reports whether a process is stopped by a signal, as SIGSTOP does.
func suspended(pid int) bool {
	fields, ok := stat(pid)
	return ok && fields[statState] == "T"
}

// marked finds the processes that have a variable in the environment they were
// started with, and its value in each. Those of other users are not seen.
func marked(variable string) map[int]string {
	found := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		raw, readErr := os.ReadFile(file)
		if err != nil || readErr != nil {
			continue
		}
		for entry := range bytes.SplitSeq(raw, []byte{0}) {
			if value, ok := bytes.CutPrefix(entry, []byte(variable+"=")); ok {
				found[pid] = string(value)
			}
		}
	}
	return found
}
