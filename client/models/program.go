package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
)

// outcome is what came of a run of medfed.
type outcome struct {
	stdout []byte
	stderr string
	code   string  // of its error, "" where there was none
	peakMB float64 // 10^6 bytes resident at most, 0 where the system does not tell
}

// errorCode is in front of what medfed says of an error.
var errorCode = regexp.MustCompile(`(?m)^medfed: (MF-[A-Z0-9-]+): `)

// medfed runs the program in the folder of all that is made, with a cache of its own there.
// That it fails is no error: the outcome has the code.
func (b *bench) medfed(ctx context.Context, arguments ...string) (outcome, error) {
	return b.medfedWith(ctx, nil, arguments...)
}

// medfedWith is medfed with more variables of the environment.
func (b *bench) medfedWith(ctx context.Context, environment []string, arguments ...string) (outcome, error) {
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, b.binary, arguments...)
	c.Dir, c.Stdout, c.Stderr = b.folder, &stdout, &stderr
	c.Env = append(append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(b.folder, "cache")), environment...)
	err := c.Run()
	if ended := ctx.Err(); ended != nil {
		return outcome{}, ended
	}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return outcome{}, err
	}
	o := outcome{stdout: stdout.Bytes(), stderr: stderr.String(), peakMB: peakMB(c.ProcessState)}
	if failed != nil {
		o.code = "without a code"
		if found := errorCode.FindStringSubmatch(o.stderr); found != nil {
			o.code = found[1]
		}
	}
	return o, nil
}

// must is medfed where it must not fail.
func (b *bench) must(ctx context.Context, arguments ...string) (outcome, error) {
	o, err := b.medfed(ctx, arguments...)
	if err == nil && o.code != "" {
		err = fmt.Errorf("%w: medfed %s: %s", errFailed, strings.Join(arguments, " "), strings.TrimSpace(o.stderr))
	}
	return o, err
}

// peakMB is the most memory that a process that has ended had resident (getrusage(2):
// kilobytes on Linux, bytes on macOS).
func peakMB(state *os.ProcessState) float64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin":
		return float64(usage.Maxrss) / 1e6
	}
	return float64(usage.Maxrss) * 1024 / 1e6
}

// parse reads what medfed printed with --format json.
func parse[T any](o outcome) (value T, err error) {
	return value, json.Unmarshal(o.stdout, &value)
}

// rounded is a number as the report has it.
func rounded(mb float64) float64 { return float64(int(mb + 0.5)) }
