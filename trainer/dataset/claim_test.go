package dataset

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The colour types of PNG.
const (
	pngGrey, pngColour, pngPalette, pngGreyAlpha, pngColourAlpha = 0, 2, 3, 4, 6
)

// blackPNG is a file of zeros of any size and depth, that is written a row at a time.
func blackPNG(t testing.TB, width, height, depth, kind int, interlaced, transparent bool) []byte {
	t.Helper()
	out := bytes.NewBufferString("\x89PNG\r\n\x1a\n")
	chunk := func(name string, content []byte) {
		body := append([]byte(name), content...)
		binary.Write(out, binary.BigEndian, uint32(len(content)))
		out.Write(body)
		binary.Write(out, binary.BigEndian, crc32.ChecksumIEEE(body))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
	passes := [][4]int{{0, 0, 1, 1}} // from x and y on, every so many
	if interlaced {
		passes = [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
	}
	chunk("IHDR", append(head, byte(depth), byte(kind), 0, 0, byte(len(passes)/7)))
	if kind == pngPalette {
		chunk("PLTE", []byte{0, 0, 0})
	}
	if samples := map[int]int{pngGrey: 2, pngColour: 6}[kind]; transparent {
		chunk("tRNS", bytes.Repeat([]byte{0, 1}, samples/2))
	}
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	samples := map[int]int{pngGrey: 1, pngColour: 3, pngPalette: 1, pngGreyAlpha: 2, pngColourAlpha: 4}[kind]
	for _, p := range passes {
		w, h := (width-p[0]+p[2]-1)/p[2], (height-p[1]+p[3]-1)/p[3]
		row := make([]byte, 1+(w*samples*depth+7)/8)
		for range h {
			z.Write(row)
		}
	}
	z.Close()
	chunk("IDAT", packed.Bytes())
	chunk("IEND", nil)
	return out.Bytes()
}

// startOfJPEG is a file that claims an image of a size, in one pass or several, and ends
// where its first scan begins: by then package image/jpeg has taken the memory.
func startOfJPEG(t testing.TB, width, height int, progressive bool, factors ...byte) []byte {
	t.Helper()
	var whole bytes.Buffer
	if err := jpeg.Encode(&whole, image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio444), nil); err != nil {
		t.Fatal(err)
	}
	segment := func(marker byte, content ...byte) []byte {
		return append(append([]byte{0xFF, marker}, binary.BigEndian.AppendUint16(nil, uint16(len(content)+2))...), content...)
	}
	out := []byte{0xFF, 0xD8, 0, 7, 0xFF} // what is no segment is passed over
	frame := []byte{8, byte(height >> 8), byte(height), byte(width >> 8), byte(width), byte(len(factors))}
	scan := []byte{byte(len(factors))}
	for i, f := range factors {
		frame = append(frame, byte(i+1), f, 0)
		scan = append(scan, byte(i+1), 0)
	}
	for marker, content := range jpegSegments(whole.Bytes()) {
		if marker < 0xC0 || marker > 0xC2 {
			out = append(out, segment(marker, content...)...)
		}
	}
	if len(factors) == 4 {
		out = append(out, segment(0xEE, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")...)...)
	}
	if progressive {
		out = append(out, segment(0xC2, frame...)...)
		return append(append(out, segment(0xDA, append(scan, 0, 0, 0)...)...), bytes.Repeat([]byte{0}, 64)...)
	}
	out = append(out, segment(0xC0, frame...)...)
	return append(append(out, segment(0xDA, append(scan, 0, 63, 0)...)...), bytes.Repeat([]byte{0}, 64)...)
}

// claimOf is what decode claims for a file.
func claimOf(t *testing.T, b []byte) int64 {
	t.Helper()
	config, kind, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "jpeg" {
		return claimOfJPEG(b, config)
	}
	return claimOfPNG(b, config)
}

// TestClaimIsWhatDecodingTakes: what is claimed for a file of every kind is at least what
// its decoding allocates, but for what every decoder takes, and at most twice as much.
func TestClaimIsWhatDecodingTakes(t *testing.T) {
	const width, height, every = 1003, 501, 200 << 10
	files := map[string][]byte{
		"grey JPEG":              startOfJPEG(t, width, height, false, 0x11),
		"grey JPEG, progressive": startOfJPEG(t, width, height, true, 0x11),
		"4:4:4":                  startOfJPEG(t, width, height, false, 0x11, 0x11, 0x11),
		"4:4:4, progressive":     startOfJPEG(t, width, height, true, 0x11, 0x11, 0x11),
		"4:2:0":                  startOfJPEG(t, width, height, false, 0x22, 0x11, 0x11),
		"4:2:0, progressive":     startOfJPEG(t, width, height, true, 0x22, 0x11, 0x11),
		"CMYK":                   startOfJPEG(t, width, height, false, 0x11, 0x11, 0x11, 0x11),
		"4:1:0":                  startOfJPEG(t, width, height, false, 0x42, 0x11, 0x11),
	}
	for kind, depths := range map[int][]int{pngGrey: {1, 8, 16}, pngColour: {8, 16}, pngPalette: {1, 8}, pngGreyAlpha: {8, 16}, pngColourAlpha: {8, 16}} {
		for _, depth := range depths {
			for _, interlaced := range []bool{false, true} {
				for _, transparent := range []bool{false, true} {
					if transparent && kind != pngGrey && kind != pngColour {
						continue
					}
					files[fmt.Sprintf("PNG of colour type %d, depth %d, interlaced %t, transparent %t", kind, depth, interlaced, transparent)] = blackPNG(t, width, height, depth, kind, interlaced, transparent)
				}
			}
		}
	}
	for name, b := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := image.Decode(bytes.NewReader(b))
		runtime.ReadMemStats(&after)
		if strings.HasPrefix(name, "PNG") && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		claim, took := claimOf(t, b), int64(after.TotalAlloc-before.TotalAlloc)
		if took > claim+every || claim > 2*took {
			t.Errorf("%s: %d bytes are claimed and %d taken (%v)", name, claim, took, err)
		}
	}
}

// TestSmallFilesClaimLittle: a file below 1 MB that claims too much is refused with the
// limit, before it is decoded.
func TestSmallFilesClaimLittle(t *testing.T) {
	for name, b := range map[string][]byte{
		"colours of 16 bits": blackPNG(t, 8192, 1024, 16, pngColourAlpha, false, false),
		"interlaced":         blackPNG(t, 8192, 1024, 8, pngColourAlpha, true, false),
		"progressive":        startOfJPEG(t, 4096, 4096, true, 0x11),
		"large":              startOfJPEG(t, 65535, 65535, false, 0x11),
	} {
		_, err := decoded(t, b, 8, 1, Input{})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d are allowed", freeClaim)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A larger file may take more: the same pixels with noise behind them.
	b := append(blackPNG(t, 8192, 1024, 16, pngColourAlpha, false, false), make([]byte, 2<<20)...)
	if _, err := decoded(t, b, 8, 1, Input{}); err != nil {
		t.Error(err)
	}
}

// TestMemoryIsShared: never is more claimed together than there is; what is larger than
// all goes alone; who waits ends with the context.
func TestMemoryIsShared(t *testing.T) {
	m := newMemory(100)
	var all sync.WaitGroup
	var mutex sync.Mutex
	var taken int64
	for i := range 40 {
		all.Go(func() {
			bytes := int64(10 + 7*i)
			release, err := m.take(t.Context(), bytes)
			if err != nil {
				t.Error(err)
				return
			}
			add := func(n int64) {
				mutex.Lock()
				defer mutex.Unlock()
				taken += n
				if n > 0 && taken > 100 && taken != n {
					t.Errorf("%d bytes are taken beside %d", taken-n, n)
				}
			}
			add(bytes)
			runtime.Gosched()
			add(-bytes)
			release()
		})
	}
	all.Wait()
	release, err := m.take(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.take(ctx, 60); err == nil {
		t.Error("more was taken than there is")
	}
}

// bombs names the folder that a process of TestBombs reads.
const bombs = "MEDFED_TEST_BOMBS"

// TestBombs reads a folder of files below 1 MB that claim as much as they may, and more, in
// a process of its own, which must not take more than 100 MB.
func TestBombs(t *testing.T) {
	if folder := os.Getenv(bombs); folder != "" {
		f, err := LoadFolder(t.Context(), folder, FolderOptions{Size: 224, Channels: 3, SkipBad: true})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("read %d, refused %d\n", f.Data.Train.Len(), len(f.Bad))
		io.Copy(os.Stdout, must(os.Open("/proc/self/status")))
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skipf("no process can be measured here: %v", err)
	}
	huge := blackPNG(t, 8192, 8192, 16, pngColourAlpha, false, false)
	grey, progressive := blackPNG(t, 4096, 6143, 16, pngGrey, false, false), startOfJPEG(t, 3168, 3168, true, 0x11)
	for name, b := range map[string][]byte{"huge": huge, "grey": grey, "progressive": progressive} {
		if len(b) > 1<<20 {
			t.Errorf("%s has %d bytes", name, len(b))
		}
	}
	files := map[string][]byte{}
	for i := range 6 {
		files[fmt.Sprintf("a/huge%d.png", i)] = huge
		files[fmt.Sprintf("a/grey%d.png", i)] = grey
		files[fmt.Sprintf("b/grey%d.png", i)] = grey
		files[fmt.Sprintf("b/progressive%d.jpg", i)] = progressive
	}
	burst(t, lay(t, files), "read 12, refused 12")
	files = map[string][]byte{"a/grey.png": grey, "b/grey.png": grey}
	for i := range 6 {
		files[fmt.Sprintf("a/padded%d.png", i)] = append(bytes.Clone(grey), make([]byte, 30<<20)...) // packed to little
	}
	archive := pack(t, files, zip.Deflate)
	if info := must(os.Stat(archive)); info.Size() > 2<<20 {
		t.Errorf("the archive has %d bytes", info.Size())
	}
	burst(t, archive, "read 2, refused 6")
}

// burst has a process of its own read a folder or archive.
func burst(t *testing.T, folder, want string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), must(filepath.Abs(os.Args[0])), "-test.run=^TestBombs$")
	cmd.Env = append(os.Environ(), bombs+"="+folder, "GOMAXPROCS=8")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Fatalf("%v: %s", err, out)
	}
	peak := must(strconv.Atoi(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(out))[1]))
	t.Logf("at most %d MB resident", peak/1000)
	if peak > 100_000 {
		t.Errorf("%d kB resident, want at most 100 MB", peak)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
