// Package pytorch runs scripts with the machine's own PyTorch (Debian:
// python3-torch), the independent implementation that tests and benchmarks compare
// with. Nothing that a hospital runs needs it.
package pytorch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/cpu"
)

// Variable is the environment variable that names a Python interpreter with
// PyTorch. Without it python3 is tried as the path has it, and then Debian's.
const Variable = "MEDFED_PYTHON"

// ErrAbsent is the error when no interpreter has PyTorch.
var ErrAbsent = errors.New("there is no Python with PyTorch on this machine (Debian's package is python3-torch)")

// Python is an interpreter that has PyTorch.
type Python struct {
	Path    string
	Version string // of PyTorch
}

// Find looks for an interpreter; the error wraps [ErrAbsent].
func Find(ctx context.Context) (Python, error) {
	candidates := []string{"python3", "/usr/bin/python3"}
	if named := os.Getenv(Variable); named != "" {
		candidates = []string{named}
	}
	for _, path := range candidates {
		out, err := exec.CommandContext(ctx, path, "-c", "import torch; print(torch.__version__)").Output()
		if err == nil {
			return Python{path, strings.TrimSpace(string(out))}, nil
		}
	}
	return Python{}, fmt.Errorf("%w: tried %q", ErrAbsent, candidates)
}

// Command is the run of a script. Debian's OpenBLAS does not know new processors
// and takes them for old ones, so that it is told what this one can do.
func (p Python) Command(ctx context.Context, script string, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.Path, append([]string{script}, arguments...)...)
	c.Env = os.Environ()
	switch _, set := os.LookupEnv("OPENBLAS_CORETYPE"); {
	case set:
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL:
		c.Env = append(c.Env, "OPENBLAS_CORETYPE=SkylakeX")
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		c.Env = append(c.Env, "OPENBLAS_CORETYPE=Haswell")
	}
	return c
}
