package backbone

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// Variables of the process that TestMemoryIsBounded measures, and of who wants to measure
// more images than it does.
const (
	imagesVariable = "MEDFED_TEST_IMAGES"
	scaleVariable  = "MEDFED_SCALE"
)

// smallImages is the paper's network on its largest images. startName is the file of the
// weights that it starts from: a node is given them, and does not draw them.
var smallImages = model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 64, Classes: 2}

const startName = "start.safetensors"

// constant is a backbone of ResNet50's shape that costs nothing.
func constant() *Backbone {
	const width = 2048
	return &Backbone{
		Spec: model.Spec{Name: model.ResNet50, Channels: 3, Size: ImageSize, Classes: 2}, Digest: "d", width: width,
		compute: func(_ context.Context, images []float32) ([]float32, error) {
			out := make([]float32, len(images)/(ImageSize*ImageSize*3)*width)
			for i := range out {
				out[i] = images[i]
			}
			return out, nil
		},
	}
}

// TestMemoryIsBounded: reading a folder of images, to features and to small images that a
// model trains on and is scored by, takes the memory of what is kept of them and little
// more, in a process of its own. The images themselves would take 600 kB each.
func TestMemoryIsBounded(t *testing.T) {
	if folder := os.Getenv(imagesVariable); folder != "" {
		if filepath.Base(folder) == "large" {
			featuresOfAll(t, folder)
		} else {
			trainOnAll(t, folder)
		}
		status, err := os.Open("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(os.Stdout, status)
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skipf("no process can be measured here: %v", err)
	}
	n, err := strconv.Atoi(cmp.Or(os.Getenv(scaleVariable), "1000"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ side, kept, rest int }{ // bytes of an image, kB of all else
		"large": {ImageSize, 2048 * 4, 100_000},
		"small": {64, 64 * 64 * 4, 230_000}, // nearly all of it a network for batches of 64
	} {
		folder := filepath.Join(t.TempDir(), name)
		draw(t, folder, n, c.side)
		start, err := model.Initial(smallImages, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, startName), start.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemoryIsBounded$")
		cmd.Env = append(os.Environ(), imagesVariable+"="+folder)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		peak, err := strconv.Atoi(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(out))[1])
		if err != nil {
			t.Fatal(err)
		}
		most := c.rest + 3*n*c.kept/2/1024
		t.Logf("%d images of %d×%d: at most %d MB resident", n, c.side, c.side, peak/1000)
		if peak > most || n <= 10_000 && peak > 400_000 {
			t.Errorf("%d images of %d×%d: %d kB resident, want at most %d", n, c.side, c.side, peak, most)
		}
	}
}

// draw writes that many different images in two classes, for training and test.
func draw(t *testing.T, folder string, n, side int) {
	t.Helper()
	for _, class := range []string{"train/a", "train/b", "test/a", "test/b"} {
		if err := os.MkdirAll(filepath.Join(folder, class), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m := image.NewGray(image.Rect(0, 0, side, side))
	for i := range m.Pix {
		m.Pix[i] = byte(i % side)
	}
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	for i := range n {
		m.SetGray(0, 0, color.Gray{byte(i)})
		m.SetGray(1, 0, color.Gray{byte(i >> 8)})
		var b bytes.Buffer
		if err := encoder.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		part := "train"
		if i%5 == 0 {
			part = "test"
		}
		if err := os.WriteFile(filepath.Join(folder, part, string("ab"[i%2]), fmt.Sprintf("%d.png", i)), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// featuresOfAll reads a folder to features, twice: the second time from the cache.
func featuresOfAll(t *testing.T, folder string) {
	cache := open(t, DefaultCacheLimit)
	for range 2 {
		set, err := dataset.LoadFolder(t.Context(), folder, dataset.FolderOptions{Size: ImageSize, Channels: 3, Input: dataset.ImageNet, Unread: true})
		if err != nil {
			t.Fatal(err)
		}
		data, err := constant().Data(t.Context(), cache, set.Data, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := data.Train.Len() + data.Test.Len(); len(data.Train.Values) != data.Train.Len()*2048 || got == 0 {
			t.Errorf("%d features of %d images", len(data.Train.Values), data.Train.Len())
		}
	}
}

// trainOnAll reads a folder to small images, twice, the second time from the cache, trains
// the paper's network on them for an epoch, and scores it.
func trainOnAll(t *testing.T, folder string) {
	cache := open(t, DefaultCacheLimit)
	var set *dataset.Folder
	for range 2 {
		var err error
		if set, err = dataset.LoadFolder(t.Context(), folder, dataset.FolderOptions{Size: 64, Channels: 1, Decoded: cache.Decoded}); err != nil {
			t.Fatal(err)
		}
	}
	start, err := os.ReadFile(filepath.Join(folder, startName))
	if err != nil {
		t.Fatal(err)
	}
	w, err := weights.Parse(start)
	if err != nil {
		t.Fatal(err)
	}
	if w, err = model.Train(t.Context(), smallImages, w, set.Data.Train, model.TrainOptions{Epochs: 1, BatchSize: 64, LearningRate: 0.01, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := model.Evaluate(t.Context(), smallImages, w, set.Data.Test); err != nil {
		t.Fatal(err)
	}
}
