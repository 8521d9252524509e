package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/medfed/medfed/trainer/nn/kernel"
	"github.com/medfed/medfed/trainer/pytorch"
)

//go:embed worker.py
var workerScript []byte

// worker is a PyTorch process that does one command at a time.
type worker struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	folder  string // for files
}

// startWorker starts PyTorch with a number of threads. Stop it.
func startWorker(ctx context.Context, python pytorch.Python, folder string, threads int) (*worker, error) {
	script := filepath.Join(folder, "worker.py")
	if err := os.WriteFile(script, workerScript, 0o600); err != nil {
		return nil, err
	}
	c := python.Command(ctx, script, fmt.Sprint(threads))
	c.Env = append(c.Env, fmt.Sprintf("OMP_NUM_THREADS=%d", threads), fmt.Sprintf("OPENBLAS_NUM_THREADS=%d", threads))
	if kernel.Best() == kernel.AVX512 && os.Getenv(openBLASKind) == "" {
		c.Env = append(c.Env, openBLASKind+"=SkylakeX") // what it does not recognise it takes for less
	}
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &worker{c, in, bufio.NewScanner(out), folder}, c.Start()
}

// openBLASKind names the processor to OpenBLAS.
const openBLASKind = "OPENBLAS_CORETYPE"

// matmulRate is the rate of PyTorch's matrix product, in floating point operations a
// second.
func (w *worker) matmulRate() (float64, error) {
	const size, tries = 1024, 5
	best := time.Duration(math.MaxInt64)
	for range tries {
		took, err := w.do(map[string]any{"do": "matmul", "size": size})
		if err != nil {
			return 0, err
		}
		best = min(best, took)
	}
	return 2 * size * size * size / best.Seconds(), nil
}

// stop lets the process end.
func (w *worker) stop() error {
	w.in.Close()
	return w.command.Wait()
}

// do sends a command and waits for its answer.
func (w *worker) do(command map[string]any) (time.Duration, error) {
	line, err := json.Marshal(command)
	if err != nil {
		return 0, err
	}
	if _, err := w.in.Write(append(line, '\n')); err != nil {
		return 0, fmt.Errorf("PyTorch's process has ended: %w", err)
	}
	if !w.out.Scan() {
		return 0, errors.Join(errors.New("PyTorch's process has ended"), w.out.Err())
	}
	var answer struct {
		Seconds float64
		Error   string
	}
	if err := json.Unmarshal(w.out.Bytes(), &answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, fmt.Errorf("PyTorch: %s", answer.Error)
	}
	return time.Duration(answer.Seconds * float64(time.Second)), nil
}

// contender is a command as one side of a comparison.
func (w *worker) contender(do, name string) contender {
	return func() (time.Duration, error) {
		took, err := w.do(map[string]any{"do": do, "name": name})
		if err == nil && took <= 0 {
			err = fmt.Errorf("PyTorch's %s of %s took no time; no number is given", do, name)
		}
		return took, err
	}
}

// file is a path in the worker's folder.
func (w *worker) file(name string) string { return filepath.Join(w.folder, name) }

// writeFloats writes raw little-endian values.
func writeFloats(path string, values []float32) error {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return os.WriteFile(path, b, 0o600)
}

func readFloats(path string) ([]float32, error) {
	b, err := os.ReadFile(path)
	values := make([]float32, len(b)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return values, err
}
