package dataset

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Limits of what a file may claim, so that a small file cannot take much memory.
const (
	maxFile  = 256 << 20 // bytes of a file
	maxClaim = 1 << 29   // bytes of any image while it is decoded
	// What any image may take, and a larger file for each of its bytes: a photograph takes
	// 36 bytes for each of a progressive JPEG file of the usual quality.
	freeClaim  = 48 << 20
	claimRatio = 48
)

// allowance is what the image in a file of so many bytes may take.
func allowance(file int) int64 {
	return min(max(freeClaim, claimRatio*int64(file)), maxClaim)
}

// memory is what all that is decoded in this process may take together. One image that
// takes more than that is decoded alone.
type memory struct {
	bytes   int64
	free    *semaphore.Weighted
	garbage atomic.Int64 // released and not yet collected, at most
}

func newMemory(bytes int64) *memory {
	return &memory{bytes: bytes, free: semaphore.NewWeighted(bytes)}
}

// reading is for the bytes of files, and decoding for the images in them. Who waits for
// the second may hold of the first, never the other way round.
var reading, decoding = newMemory(64 << 20), newMemory(freeClaim)

// claim waits until so many bytes are free for the image in a file of so many; release
// gives them back. It refuses more than the file's allowance.
func (m *memory) claim(ctx context.Context, bytes int64, file int) (release func(), err error) {
	if most := allowance(file); bytes > most {
		return nil, fmt.Errorf("decoding it takes %d bytes, and %d are allowed a file of %d bytes", bytes, most, file)
	}
	return m.take(ctx, bytes)
}

// everyClaim is the bytes that any file leaves behind, beside what it claims: buffers, and
// a decoder's tables.
const everyClaim = 64 << 10

// take waits until so many bytes are free. What is released is collected before it has
// grown to a third of what may be taken: the collector itself waits until it is as much as
// all that is in use.
func (m *memory) take(ctx context.Context, bytes int64) (release func(), err error) {
	weight := min(bytes, m.bytes)
	if err := m.free.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	return func() {
		if m.garbage.Add(bytes+everyClaim) > m.bytes/3 {
			m.garbage.Store(0)
			m.collect(bytes)
		}
		m.free.Release(weight)
	}, nil
}

// collect collects what was released, of which these bytes at last. Where they were many
// the system gets them back: the next image may not fit into the room that they leave.
func (m *memory) collect(bytes int64) {
	if bytes > m.bytes/2 {
		debug.FreeOSMemory()
		return
	}
	runtime.GC()
}

// claimOfPNG is the bytes that package image/png takes for the pixels of a file.
func claimOfPNG(b []byte, config image.Config) int64 {
	perPixel := map[color.Model]int64{
		color.GrayModel: 1, color.Gray16Model: 2, color.RGBAModel: 4, color.NRGBAModel: 4, color.RGBA64Model: 8, color.NRGBA64Model: 8,
	}
	pixel, known := perPixel[modelOf(config)]
	if !known { // a palette
		pixel = 1
	}
	const signature, interlace = 8, 28 // offsets: of the first chunk, and of the method in it
	for at := signature; at+8 <= len(b) && string(b[at+4:at+8]) != "IDAT"; {
		if string(b[at+4:at+8]) == "tRNS" && pixel < 4 && known {
			pixel *= 4 // grey with a transparent shade becomes colours with alpha
		}
		at += 12 + int(binary.BigEndian.Uint32(b[at:]))
	}
	if len(b) > interlace && b[interlace] != 0 {
		pixel *= 2 // the seven passes, which are put into the image
	}
	return pixel * int64(config.Width) * int64(config.Height)
}

// modelOf is a colour model that may be a key; nil for a palette.
func modelOf(config image.Config) color.Model {
	if _, palette := config.ColorModel.(color.Palette); palette {
		return nil
	}
	return config.ColorModel
}

// claimOfJPEG is the bytes that package image/jpeg takes for the pixels of a file: a byte
// for each sample of whole blocks, four more for a progressive file's coefficients, and
// four for each pixel of a file in other colours than grey and YCbCr.
func claimOfJPEG(b []byte, config image.Config) int64 {
	claim := int64(0)
	frame, progressive := jpegFrame(b)
	for _, c := range frame {
		claim += c
	}
	if progressive {
		claim *= 5
	}
	switch config.ColorModel {
	case color.GrayModel, color.YCbCrModel:
		return claim
	}
	return claim + 4*int64(config.Width)*int64(config.Height)
}
