package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/medfed/medfed/trainer/nn/kernel"
)

// machine describes what the numbers were measured on.
type machine struct {
	Processor  string `json:"processor"`
	Cores      int    `json:"cores"`
	MemoryMB   int    `json:"memory_mb"`
	System     string `json:"system"`
	Go         string `json:"go"`
	Kernels    string `json:"kernels"` // the family of inner loops in use
	PyTorch    string `json:"pytorch"` // "" when there is none
	LoadBefore string `json:"load_before"`

	PyTorchShare float64 `json:"pytorch_matmul_share"` // of the FMA peak, by its matrix product; 0 when not measured

	LoadAfter string `json:"load_after"` // load averages of 1, 5 and 15 minutes
}

func describe() machine {
	return machine{
		Processor: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), MemoryMB: kilobytes(field("/proc/meminfo", "MemTotal")) / 1000,
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Kernels: kernel.Best().String(), LoadBefore: load(),
	}
}

func (m machine) lines() []string {
	return []string{
		fmt.Sprintf("processor\t%s, %d cores", m.Processor, m.Cores),
		fmt.Sprintf("memory\t%d MB", m.MemoryMB),
		fmt.Sprintf("system\t%s, %s", m.System, m.Go),
		fmt.Sprintf("kernels\t%s", m.Kernels),
		fmt.Sprintf("PyTorch\t%s, its matrix product at %.2f of the FMA peak", orNone(m.PyTorch), m.PyTorchShare),
		fmt.Sprintf("load before and after\t%s, %s", m.LoadBefore, m.LoadAfter),
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// field is the first value of a name in a file of "name: value" lines, or "unknown".
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// kilobytes reads a size such as "24576000 kB"; 0 when it is none.
func kilobytes(text string) int {
	var n int
	fmt.Sscanf(text, "%d kB", &n)
	return n
}

// busy reports whether the load before the measurement, without ours, takes half of
// the processors or more, or is not known.
func (m machine) busy() bool {
	var average float64
	n, err := fmt.Sscanf(m.LoadBefore, "%g", &average)
	return n != 1 || err != nil || average >= float64(m.Cores)/2
}

// load is the machine's load averages.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}
