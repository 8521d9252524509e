// Package onnxruntime runs models in ONNX with Microsoft's ONNX Runtime, the independent
// implementation that what medfed exports is compared with. It comes from npm and runs in
// Node.js. Nothing that a hospital's node runs needs it.
package onnxruntime

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Folder is where the packages and the script lie, from the top of the repository.
const Folder = ".ci/onnx"

// modulesName is the folder in which Node.js looks for packages.
const modulesName = "node_modules"

// ErrAbsent is the error where ONNX Runtime is not on this machine.
var ErrAbsent = errors.New("there is no ONNX Runtime on this machine (npm ci in " + Folder + " installs it)")

// Runtime is an ONNX Runtime that was found.
type Runtime struct {
	node, folder string
}

// Value is an input or output as ONNX Runtime understood it. A dimension is a number, or
// the name of one that is free.
type Value struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []any  `json:"shape"`
}

// Result is what came of a model.
type Result struct {
	Inputs  []Value   `json:"inputs"`
	Outputs []Value   `json:"outputs"`
	Values  []float64 `json:"values"` // of its output
}

// Find looks for ONNX Runtime in the repository whose top folder is given; the error wraps
// [ErrAbsent].
func Find(top string) (Runtime, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return Runtime{}, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	folder := filepath.Join(top, filepath.FromSlash(Folder))
	if _, err := os.Stat(filepath.Join(folder, modulesName, "onnxruntime-node")); err != nil {
		return Runtime{}, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	return Runtime{node, folder}, nil
}

// Run gives the model in a file values for its input, in batches of these sizes, the last
// of which comes again until all values are used.
func (r Runtime) Run(ctx context.Context, model string, values []float32, batches ...int) (Result, error) {
	var result Result
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	folder, err := os.MkdirTemp("", "medfed-onnx-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "values")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return result, err
	}
	arguments := []string{filepath.Join(r.folder, "run.mjs"), model, file}
	for _, n := range batches {
		arguments = append(arguments, strconv.Itoa(n))
	}
	c := exec.CommandContext(ctx, r.node, arguments...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return result, fmt.Errorf("ONNX Runtime on %s: %w", model, err)
	}
	return result, json.Unmarshal(out, &result)
}

// Script runs a module of JavaScript in a folder, with ONNX Runtime at hand, and gives what
// it prints.
func (r Runtime) Script(ctx context.Context, folder, module string) (string, error) {
	modules, err := filepath.Abs(filepath.Join(r.folder, modulesName))
	if err != nil {
		return "", err
	}
	link := filepath.Join(folder, modulesName)
	if err := os.Symlink(modules, link); err != nil {
		return "", err
	}
	defer os.Remove(link)
	c := exec.CommandContext(ctx, r.node, "--input-type=module", "--eval", module)
	c.Dir, c.Stderr = folder, os.Stderr
	out, err := c.Output()
	return string(out), err
}
