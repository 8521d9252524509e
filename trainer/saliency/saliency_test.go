package saliency

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// linear is a model of two classes whose logit is a weighted sum of the values.
func linear(weights []float32) Predict {
	return func(_ context.Context, images []float32) ([]float32, error) {
		var p []float32
		for first := 0; first < len(images); first += len(weights) {
			logit := 0.0
			for i, w := range weights {
				logit += float64(w) * float64(images[first+i])
			}
			p = append(p, float32(1/(1+math.Exp(logit))), float32(1/(1+math.Exp(-logit))))
		}
		return p, nil
	}
}

// hottest is the mean heat of a part of an image, and that of the rest.
func hottest(m Map, part image.Rectangle) (inside, outside float64) {
	for i, h := range m.Heat {
		if (image.Point{i % m.Size, i / m.Size}).In(part) {
			inside += h / float64(part.Dx()*part.Dy())
		} else {
			outside += h / float64(m.Size*m.Size-part.Dx()*part.Dy())
		}
	}
	return inside, outside
}

// The model looks at a rectangle that lies left of the middle and low, and is no square: a
// map that is turned, mirrored or moved shows other parts.
func TestThePartThatMattersIsHot(t *testing.T) {
	for _, size := range []int{28, 64, 224} {
		part := image.Rect(size/14, 5*size/7, 5*size/14, 6*size/7)
		for _, channels := range []int{1, 3} {
			weights, values := make([]float32, size*size*channels), make([]float32, size*size*channels)
			for i := range weights {
				pixel := i / channels
				if (image.Point{pixel % size, pixel / size}).In(part) {
					weights[i], values[i] = 30/float32(part.Dx()*part.Dy()*channels), 0.2
				}
			}
			m, err := Occlude(t.Context(), linear(weights), Image{values, size, channels}, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			inside, outside := hottest(m, part)
			if inside < 5*outside || inside <= 0 {
				t.Errorf("%d×%d×%d: heat %v where the model looks and %v elsewhere", size, size, channels, inside, outside)
			}
			// Beyond a square's side from it nothing matters.
			side := (size + 6) / 7
			for i, h := range m.Heat {
				if !(image.Point{i % size, i / size}).In(part.Inset(-side)) && math.Abs(h) > 1e-4 {
					t.Fatalf("%d×%d×%d: heat %v at %d, %d", size, size, channels, h, i%size, i/size)
				}
			}
			if m.Least >= m.Probability || m.Probability < 0.99 {
				t.Errorf("the probability is %v, and at least %v", m.Probability, m.Least)
			}
			// For the other class hiding the part only speaks in favour.
			other, err := Occlude(t.Context(), linear(weights), Image{values, size, channels}, 0, nil)
			if inside, _ := hottest(other, part); err != nil || inside >= 0 {
				t.Errorf("heat %v for the other class (%v)", inside, err)
			}
		}
	}
}

// TestHeatIsItsDefinition holds the map against one that asks, pixel by pixel, all squares
// that hide it, and each with an image of its own.
func TestHeatIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size, channels := rapid.IntRange(1, 15).Draw(t, "size"), rapid.SampledFrom([]int{1, 3}).Draw(t, "channels")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		weights, values := make([]float32, size*size*channels), make([]float32, size*size*channels)
		means := make([]float64, channels)
		for i := range weights {
			weights[i], values[i] = float32(r.NormFloat64()), float32(r.NormFloat64())
			means[i%channels] += float64(values[i]) / float64(size*size)
		}
		predict := linear(weights)
		logit := func(values []float32) float64 {
			p, _ := predict(t.Context(), values)
			return math.Log(max(float64(p[1]), math.SmallestNonzeroFloat32) / max(float64(p[0]), math.SmallestNonzeroFloat32))
		}
		m, err := Occlude(t.Context(), predict, Image{values, size, channels}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		side := int(math.Ceil(float64(size) / 7))
		step := max(1, side/2)
		for y := range size {
			for x := range size {
				total, n := 0.0, 0.0
				for top := range size - side + 1 {
					for left := range size - side + 1 {
						stands := func(at int) bool { return at%step == 0 || at == size-side }
						if !stands(top) || !stands(left) || x < left || x >= left+side || y < top || y >= top+side {
							continue
						}
						hidden := append([]float32(nil), values...)
						for i := range hidden {
							px, py := i/channels%size, i/channels/size
							if px >= left && px < left+side && py >= top && py < top+side {
								hidden[i] = float32(means[i%channels])
							}
						}
						total += logit(values) - logit(hidden)
						n++
					}
				}
				if got := m.Heat[y*size+x]; n == 0 || math.Abs(got-total/n) > 1e-3 {
					t.Fatalf("heat %v at %d, %d, want %v of %v squares", got, x, y, total/n, n)
				}
			}
		}
	})
}

// TestATrainedModelLooksAtWhatTellsTheClasses: of noise with a bright spot here or there,
// in images of class 1 alone, a trained network looks at the spot.
func TestATrainedModelLooksAtWhatTellsTheClasses(t *testing.T) {
	const size, spot = 28, 6
	spec := model.Spec{Name: model.HMChainCNN, Channels: 1, Size: size, Classes: 2}
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(part image.Rectangle) []float32 {
		values := make([]float32, size*size)
		for i := range values {
			values[i] = float32(r.NormFloat64() * 0.1)
			if (image.Point{i % size, i / size}).In(part) {
				values[i] += 1
			}
		}
		return values
	}
	place := func() image.Rectangle {
		x, y := r.IntN(size-spot), r.IntN(size-spot)
		return image.Rect(x, y, x+spot, y+spot)
	}
	var train dataset.Split
	for i := range 512 {
		part := place()
		if i%2 == 0 {
			part = image.Rectangle{}
		}
		train.Values, train.Labels = append(train.Values, draw(part)...), append(train.Labels, i%2)
	}
	w, err := model.Initial(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	if w, err = model.Train(t.Context(), spec, w, train, model.TrainOptions{Epochs: 6, BatchSize: 32, LearningRate: 0.01, Momentum: 0.9}); err != nil {
		t.Fatal(err)
	}
	if r, err := model.Evaluate(t.Context(), spec, w, train); err != nil || r.Accuracy < 0.98 {
		t.Fatalf("the model is not trained: %+v, %v", r, err)
	}
	predict := func(ctx context.Context, images []float32) ([]float32, error) {
		return model.Predict(ctx, spec, w, dataset.Split{Values: images, Labels: make([]int, len(images)/size/size)})
	}
	for range 5 {
		part := place()
		m, err := Occlude(t.Context(), predict, Image{draw(part), size, 1}, 1, nil)
		if err != nil || m.Probability < 0.5 {
			t.Fatalf("a probability of %v (%v)", m.Probability, err)
		}
		if inside, outside := hottest(m, part); inside < 4*math.Abs(outside) || inside <= 0 {
			t.Errorf("heat %v in the spot at %v and %v elsewhere", inside, part, outside)
		}
	}
}

func TestOccludeRefusesAndCounts(t *testing.T) {
	good := Image{make([]float32, 28*28), 28, 1}
	nothing := func(_ context.Context, images []float32) ([]float32, error) {
		p := make([]float32, 2*len(images)/28/28)
		for i := range p {
			p[i] = float32(math.NaN())
		}
		return p, nil
	}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		image   Image
		class   int
		predict Predict
		code    codes.Code
	}{
		"other values":  {Image{make([]float32, 5), 28, 1}, 0, linear(make([]float32, 28*28)), "MF-SALIENCY-IMAGE"},
		"no image":      {Image{}, 0, linear(make([]float32, 28*28)), "MF-SALIENCY-IMAGE"},
		"another class": {good, 2, linear(make([]float32, 28*28)), "MF-SALIENCY-IMAGE"},
		"no numbers":    {good, 1, nothing, "MF-SALIENCY-NUMBERS"},
	} {
		if _, err := Occlude(t.Context(), c.predict, c.image, c.class, nil); codes.Of(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Occlude(t.Context(), func(context.Context, []float32) ([]float32, error) { return nil, broken }, good, 0, nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	calls, last := 0, 0
	m, err := Occlude(t.Context(), func(ctx context.Context, images []float32) ([]float32, error) {
		if len(images) > most*28*28 {
			t.Errorf("%d values at once", len(images))
		}
		return linear(make([]float32, 28*28))(ctx, images)
	}, good, 0, func(done, total int) {
		if calls++; done <= last || total != 169 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil || last != 169 || m.Probability != 0.5 || m.Least != 0.5 {
		t.Errorf("%d of 169, %v, %v, %v", last, m.Probability, m.Least, err)
	}
}

// TestThePictureShowsImageAndHeat: left the image as it is, right the same with the hot part
// red and all else as it was, and below it words.
func TestThePictureShowsImageAndHeat(t *testing.T) {
	const size, scale = 28, 16
	m := Map{Size: size, Heat: make([]float64, size*size)}
	brightness := make([]float64, size*size)
	for i := range brightness {
		brightness[i] = float64(i%size) / size
	}
	for y := 18; y < 22; y++ {
		for x := 4; x < 10; x++ {
			m.Heat[y*size+x] = 3
		}
	}
	m.Heat[0] = -5 // speaks for the class when it is hidden
	draw := func(words ...string) *image.RGBA {
		t.Helper()
		content, err := Picture{brightness, 1, m, words}.PNG()
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := png.Decode(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		return decoded.(*image.RGBA)
	}
	picture := draw("pneumonia", "not for diagnosis")
	for y := range size {
		for x := range size {
			grey := uint8(math.Round(255 * brightness[y*size+x]))
			left := picture.RGBAAt(margin+x*scale+scale/2, margin+y*scale+scale/2)
			right := picture.RGBAAt(2*margin+size*scale+x*scale+scale/2, margin+y*scale+scale/2)
			if left != (color.RGBA{grey, grey, grey, 255}) {
				t.Fatalf("the image is %v at %d, %d, want %v", left, x, y, grey)
			}
			hot := x > 4 && x < 9 && y > 18 && y < 21
			cold := x < 3 || x > 10 || y < 17 || y > 22
			if hot && (right.R < 150 || right.G > right.R/2 || right.B > right.R/2) || cold && right != left {
				t.Fatalf("under the heat the image is %v at %d, %d, and was %v", right, x, y, left)
			}
		}
	}
	black := func(picture *image.RGBA, line int) (n int) {
		for y := size*scale + 2*margin + line*lineHeight; y < size*scale+2*margin+(line+1)*lineHeight; y++ {
			for x := range picture.Bounds().Dx() {
				if picture.RGBAAt(x, y).R < 128 {
					n++
				}
			}
		}
		return n
	}
	if black(picture, 0) == 0 || black(picture, 1) == 0 {
		t.Error("a line of words is empty")
	}
	// What hardly matters is not red, though it is what matters most.
	for i := range m.Heat {
		m.Heat[i] /= 3000
	}
	if faint := draw().RGBAAt(2*margin+size*scale+6*scale, margin+20*scale); faint.G < 100*faint.R/255 || faint.B < 20 {
		t.Errorf("a faint heat is %v", faint)
	}
	// A line that is too long is cut and ends inside.
	long := draw("Übermäßig lange Namen einer Klasse, die so lang ist, dass keine Schrift sie auf das Bild bringt, und die danach noch weitergeht, und weiter, und weiter, und noch weiter, bis keiner sie mehr liest und sie doch nicht endet")
	for y := range long.Bounds().Dy() {
		if long.RGBAAt(long.Bounds().Dx()-margin/2, y) != (color.RGBA{255, 255, 255, 255}) {
			t.Fatal("the words leave the picture")
		}
	}
}
