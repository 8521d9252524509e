package kernel

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestBitsOfEveryMachine: the results are those that were recorded, whatever the
// processor's architecture and the family. A Go compiler for a processor that fuses
// multiplication and addition does so where an expression lets it.
func TestBitsOfEveryMachine(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	numbers := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(int32(r.Uint32())) * 0x1p-31
		}
		return v
	}
	s := ConvShape{Batch: 3, Height: 9, Width: 10, Channels: 33, Filters: 40, KernelHeight: 3, KernelWidth: 3, Stride: 1, Padding: 1}
	x, w, b, dy := numbers(3*90*33), numbers(40*33*9), numbers(40), numbers(3*90*40)
	winograd := s
	winograd.Channels, winograd.Filters = 32, 48
	wx, ww, wb, wdy := numbers(3*90*32), numbers(48*32*9), numbers(48), numbers(3*90*48)
	levels(t, func(t *testing.T, _ Level) {
		y, dx, dw, db := convResults(t, s, s.Batch, x, w, b, dy)
		wy, wdx, wdw, wdb := convResults(t, winograd, s.Batch, wx, ww, wb, wdy)
		frozen, err := NewFrozenConv(s, w, b, true, true)
		if err != nil {
			t.Fatal(err)
		}
		fast := make([]float32, len(y))
		frozen.Forward(s.Batch, fast, x, nil)
		results := append([][]float32{y, dx, dw, db, fast}, normResults(t, 3*90, 40, true, y, b, b, dy)...)
		results = append(results, wy, wdx, wdw, wdb)
		recorded := strings.Fields(`
			96fc4a564305 e77f7b5c61a8 4c1e0e59b75c 877540b87c8c 8b8d1f9282f3 d77869a09b92 cd7decd4638d 4e906c0702b4
			2a6cf5fbf9eb 712161a22383 9ec14c1dc86c 8f7fae45ec77 38bf8e888974 bf037d148b74 aecce95840d3
			8e204243f07b 90cb62076909 076fc8c935e0 6e36ed535a56`)
		for i, v := range results {
			if got := digest(v); got != recorded[i] {
				t.Errorf("result %d has digest %s, recorded is %s", i, got, recorded[i])
			}
		}
	})
}

// TestOnARM64 runs this package's comparisons on an emulated arm64.
func TestOnARM64(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this is one")
	}
	emulator, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		t.Skip("NEON is not tested: there is no qemu-aarch64 (Debian: qemu-user)")
	}
	program := filepath.Join(t.TempDir(), "kernel.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building for arm64: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), emulator, program, "-test.v", "-rapid.checks=25",
		"-test.run=OfEveryMachine|FamiliesAgree|IsTheDefinition|Linear|FrozenConv$|NotANumber|SeveralBlocks").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestBitsOfEveryMachine/NEON") {
		t.Errorf("NEON was not in use:\n%s", out)
	}
}

// digest is a short hash of the bits.
func digest(v []float32) string {
	bytes, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err) // a slice of a fixed-size type
	}
	sum := sha256.Sum256(bytes)
	return hex.EncodeToString(sum[:6])
}
