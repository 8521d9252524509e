package dataset

import (
	"image"
	"image/color"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naive is the value of one pixel of a resized image by its definition: every pixel of the
// image weighs what a tent over the pixel of the result gives it.
func naive(in Input, p pixels, size, x, y, c int) float64 {
	left, top, right, bottom := 0.0, 0.0, float64(p.width), float64(p.height) // what is shown
	x0, y0, wide, high := 0, 0, size, size                                    // and where
	switch in.Fit {
	case FitCrop:
		shorter := min(p.width, p.height)
		left, top = float64((p.width-shorter)/2), float64((p.height-shorter)/2)
		right, bottom = left+float64(shorter), top+float64(shorter)
	case FitPad:
		scale := float64(size) / float64(max(p.width, p.height))
		wide = max(1, int(math.Floor(float64(p.width)*scale+0.5)))
		high = max(1, int(math.Floor(float64(p.height)*scale+0.5)))
		x0, y0 = (size-wide)/2, (size-high)/2
	}
	low, high64 := p.full.Low, p.full.High
	if in.OwnWindow && p.own != (Window{}) {
		low, high64 = p.own.Low, p.own.High
	} else if in.Window != (Window{}) {
		low, high64 = in.Window.Low, in.Window.High
	}
	brightness := 0.0 // beside the image
	if x >= x0 && x < x0+wide && y >= y0 && y < y0+high {
		tent := func(at, from, to float64, i, n int) float64 {
			scale := (to - from) / float64(n)
			return max(0, 1-math.Abs(from+(float64(i)+0.5)*scale-0.5-at)/max(1, scale))
		}
		total, row := 0.0, make([]float64, p.width*p.channels)
		for v := int(top); v < int(bottom); v++ {
			p.row(row, 0, v)
			for u := int(left); u < int(right); u++ {
				weight := tent(float64(u), left, right, x-x0, wide) * tent(float64(v), top, bottom, y-y0, high)
				share := 0.0
				if stored := row[u*p.channels+c]; !math.IsNaN(stored) {
					share = max(0, min(1, (stored-low)/(high64-low)))
					if p.inverted {
						share = 1 - share
					}
				}
				brightness += weight * share
				total += weight
			}
		}
		brightness /= total
	}
	if in.Inverted {
		brightness = 1 - brightness
	}
	mean, std := 0.5, 0.5
	switch len(in.Mean) {
	case 1:
		mean, std = in.Mean[0], in.Std[0]
	case 3:
		mean, std = in.Mean[c], in.Std[c]
	}
	return (brightness - mean) / std
}

// TestInputIsItsDefinition holds every choice against the naive definition.
func TestInputIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pixels{
			width: rapid.IntRange(1, 12).Draw(t, "width"), height: rapid.IntRange(1, 12).Draw(t, "height"),
			channels: rapid.SampledFrom([]int{1, 3}).Draw(t, "channels"), full: Window{-100, 155}, inverted: rapid.Bool().Draw(t, "exchanged"),
		}
		stored := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-100, 155), rapid.Just(math.NaN())), p.width*p.height*p.channels, p.width*p.height*p.channels).Draw(t, "stored")
		p.row = func(out []float64, x, y int) { copy(out, stored[(y*p.width+x)*p.channels:]) }
		if rapid.Bool().Draw(t, "own") {
			p.own = Window{-50, 10}
		}
		in := Input{
			OwnWindow: rapid.Bool().Draw(t, "own window"), Inverted: rapid.Bool().Draw(t, "inverted"),
			Fit: rapid.SampledFrom([]Fit{"", FitStretch, FitPad, FitCrop}).Draw(t, "fit"),
		}
		if rapid.Bool().Draw(t, "window") {
			in.Window = Window{-20, 60}
		}
		if n := rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "scale"); n > 0 {
			in.Mean, in.Std = ImageNet.Mean[:n], ImageNet.Std[:n]
		}
		if err := in.Check(); err != nil {
			t.Fatal(err)
		}
		size := rapid.IntRange(1, 9).Draw(t, "size")
		for i, got := range in.values(p, size) {
			x, y, c := i/p.channels%size, i/p.channels/size, i%p.channels
			if want := naive(in, p, size, x, y, c); math.Abs(float64(got)-want) > 1e-5 {
				t.Fatalf("channel %d at %d, %d is %v, want %v", c, x, y, got, want)
			}
		}
	})
}

func TestInputRefuses(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, in := range []Input{
		{Window: Window{1, 1}}, {Window: Window{2, 1}}, {Window: Window{nan, 1}}, {Window: Window{0, inf}}, {Window: Window{-math.MaxFloat64, math.MaxFloat64}},
		{Mean: []float64{1, 1, 1}}, {Std: []float64{1}}, {Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 0}}, {Mean: []float64{0}, Std: []float64{-1}},
		{Mean: []float64{0}, Std: []float64{inf}}, {Mean: []float64{nan}, Std: []float64{1}}, {Mean: []float64{0, 0}, Std: []float64{1, 1}}, {Fit: "squeeze"},
	} {
		wantCode(t, in.Check(), "MF-DATA-INPUT")
	}
}

// TestEightBitsStayWhatTheyWere: without resizing every byte is exactly v/127.5-1, rounded
// once, or ImageNet's (v/255-mean)/std.
func TestEightBitsStayWhatTheyWere(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 16, 16))
	for v := range m.Pix {
		m.Pix[v] = byte(v)
	}
	got, err := decoded(t, encoded(t, m), 16, 1, Input{})
	if err != nil {
		t.Fatal(err)
	}
	for v := range got {
		if want := float32(float64(2*v-255) / 255); got[v] != want {
			t.Errorf("byte %d is %v, want %v", v, got[v], want)
		}
	}
	got, err = decoded(t, encoded(t, m), 16, 3, ImageNet)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if want := float32((float64(i/3)/255 - ImageNet.Mean[i%3]) / ImageNet.Std[i%3]); v != want {
			t.Errorf("byte %d in channel %d is %v, want %v", i/3, i%3, v, want)
		}
	}
}

// TestBytesAreReadAsFilesAre: a byte of a set is the same number as one of a PNG file.
func TestBytesAreReadAsFilesAre(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 16, 16))
	pixels := make([]byte, 0, 3*256)
	for v := range 256 {
		rgb := []byte{byte(v), byte(255 - v), byte(7 * v)}
		m.SetNRGBA(v%16, v/16, color.NRGBA{rgb[0], rgb[1], rgb[2], 255})
		pixels = append(pixels, rgb...)
	}
	for _, in := range []Input{{}, ImageNet, {Window: Window{40, 90}, Inverted: true, Mean: []float64{0.3}, Std: []float64{0.7}}} {
		want, err := decoded(t, encoded(t, m), 16, 3, in)
		if got := in.numbered(pixels, 3); err != nil || !slices.Equal(got, want) {
			t.Errorf("under %+v: %v and %v (%v)", in, got, want, err)
		}
	}
}

// TestResizedIsTheRest: what was read under an Input's brightness and is resized is what
// is read at that size at once.
func TestResizedIsTheRest(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 16, 16))
	for v := range m.Pix {
		m.Pix[v] = byte(7 * v)
	}
	in := Input{Window: Window{20, 200}, Inverted: true, Mean: []float64{0.3, 0.4, 0.5}, Std: []float64{0.7, 0.8, 0.9}}
	small, err := decoded(t, encoded(t, m), 16, 1, in.Brightness())
	if err != nil {
		t.Fatal(err)
	}
	want, err := decoded(t, encoded(t, m), 40, 3, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range in.Resized(small, 16, 1, 40, 3) {
		if math.Abs(float64(got-want[i])) > 1e-6 {
			t.Fatalf("value %d is %v, want %v", i, got, want[i])
		}
	}
}

func TestWhole(t *testing.T) {
	if got, want := (Input{}).Whole(1), (Input{Mean: []float64{0.5}, Std: []float64{0.5}, Fit: FitStretch}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := (Input{Mean: []float64{0.1}, Std: []float64{0.2}, Fit: FitPad}).Whole(3); !slices.Equal(got.Mean, []float64{0.1, 0.1, 0.1}) || got.Fit != FitPad {
		t.Errorf("%+v", got)
	}
}

// TestTwelveBits: every level of a 12-bit ramp in a 16-bit PNG is a value of its own, in
// order, in grey and in colours, as it is and by a window.
func TestTwelveBits(t *testing.T) {
	grey, colours := image.NewGray16(image.Rect(0, 0, 64, 64)), image.NewRGBA64(image.Rect(0, 0, 64, 64))
	for v := range 4096 {
		grey.SetGray16(v%64, v/64, color.Gray16{uint16(v)})
		colours.SetRGBA64(v%64, v/64, color.RGBA64{uint16(v), uint16(v), uint16(v), math.MaxUint16})
	}
	for _, m := range []image.Image{grey, colours} {
		for _, in := range []Input{{}, ImageNet, {Window: Window{0, 4095}}} {
			got, err := decoded(t, encoded(t, m), 64, 1, in)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != 4096 {
				t.Errorf("%T under %+v: not 4096 values in order", m, in)
			}
			if in.Window.High > 0 && (got[0] != -1 || got[4095] != 1) {
				t.Errorf("%T: the window's ends are %v and %v", m, got[0], got[4095])
			}
		}
	}
}

// TestResized: what has the size already keeps its values, grey is in all colours, and
// colours keep their order.
func TestResized(t *testing.T) {
	for v := range 256 {
		for c, got := range ImageNet.Resized([]float32{float32(float64(2*v-255) / 255)}, 1, 1, 5, 3)[3*7 : 3*8] {
			if want := (float64(v)/255 - ImageNet.Mean[c]) / ImageNet.Std[c]; math.Abs(float64(got)-want) > 1e-6 {
				t.Fatalf("byte %d in channel %d became %v, want %v", v, c, got, want)
			}
		}
	}
	// Left half red, right half blue.
	image := make([]float32, 8*8*3)
	for i := range image {
		image[i] = -1
		if red := i/3%8 < 4; red && i%3 == 0 || !red && i%3 == 2 {
			image[i] = 1
		}
	}
	for i, got := range ImageNet.Resized(image, 8, 3, 8, 3) {
		if want := (float64(image[i]+1)/2 - ImageNet.Mean[i%3]) / ImageNet.Std[i%3]; math.Abs(float64(got)-want) > 1e-6 {
			t.Fatalf("value %d is %v, want %v", i, got, want)
		}
	}
}
