package model

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

// featureBatch is the number of images that Features computes at once. It does not
// change the result.
const featureBatch = 4

// Features returns the examples with a frozen backbone's features in the place of
// their images, as Train and Evaluate take them for spec. w are the backbone's
// parameters, as for NewBackbone.
//
// Features are kept in folder, which is made, in a file named by the SHA-256 of
// architecture, weights and images, and read from there when the same are wanted
// again; a file that is damaged is made anew. "" keeps nothing.
//
// An error is coded (MF-MODEL-CACHE when the folder cannot be written) or wraps
// ctx.Err().
func Features(ctx context.Context, spec Spec, w *weights.Weights, images dataset.Split, folder string) (dataset.Split, error) {
	if err := spec.checkFrozen(); err != nil {
		return dataset.Split{}, err
	}
	slots, out := spec.backbone()
	if err := check(slots, w); err != nil {
		return dataset.Split{}, err
	}
	size := spec.Size * spec.Size * spec.Channels
	if len(images.Labels) == 0 || len(images.Images) != len(images.Labels)*size {
		return dataset.Split{}, fmt.Errorf("MF-MODEL-DATA: %d labels of %d×%d×%d images come with %d values; bring at least one image, decoded to that size",
			len(images.Labels), spec.Size, spec.Size, spec.Channels, len(images.Images))
	}
	result := dataset.Split{Labels: slices.Clone(images.Labels)}
	path := ""
	if folder != "" {
		path = filepath.Join(folder, featuresName(spec, w, images)+".features")
		shape := []int{len(images.Labels), out.values()}
		if result.Images = readFeatures(path, shape); result.Images != nil {
			return result, nil
		}
	}
	b, err := NewBackbone(spec, w, min(featureBatch, len(images.Labels)))
	if err != nil {
		return dataset.Split{}, err
	}
	if result.Images, err = b.Features(ctx, images.Images); err != nil {
		return dataset.Split{}, err
	}
	if path != "" {
		err = writeFeatures(path, out.values(), result.Images)
	}
	return result, err
}

// featuresName names features by all that they depend on.
func featuresName(spec Spec, w *weights.Weights, images dataset.Split) string {
	h := sha256.New()
	fmt.Fprintf(h, "medfed/features/1/%s/%d/%d/%s/", spec.Name, spec.Size, spec.Channels, w.Digest())
	all := weights.Weights{Tensors: []weights.Tensor{{Name: "images", Shape: []int{len(images.Images)}, Data: images.Images}}}
	if _, err := all.WriteTo(h); err != nil {
		panic(err) // a hash never fails to be written to
	}
	return hex.EncodeToString(h.Sum(nil))
}

// featuresTensor is the name of the one tensor of a file of features. The file is
// the tensor's canonical bytes and their SHA-256.
const featuresTensor = "features"

// readFeatures returns nil when there is no sound file of that shape.
func readFeatures(path string, shape []int) []float32 {
	content, err := os.ReadFile(path)
	if err != nil || len(content) < sha256.Size {
		return nil
	}
	content, sum := content[:len(content)-sha256.Size], content[len(content)-sha256.Size:]
	if sha256.Sum256(content) != [sha256.Size]byte(sum) {
		return nil
	}
	w, err := weights.Parse(content)
	if err != nil || len(w.Tensors) != 1 || w.Tensors[0].Name != featuresTensor || !slices.Equal(w.Tensors[0].Shape, shape) {
		return nil
	}
	return w.Tensors[0].Data
}

// writeFeatures writes the file whole or not at all.
func writeFeatures(path string, each int, features []float32) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("MF-MODEL-CACHE: features can't be kept: %v; name a folder that can be written and has room", err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".features-*")
	if err != nil {
		return err
	}
	w := weights.Weights{Tensors: []weights.Tensor{{Name: featuresTensor, Shape: []int{len(features) / each, each}, Data: features}}}
	h := sha256.New()
	_, err = w.WriteTo(io.MultiWriter(f, h))
	if err == nil {
		_, err = f.Write(h.Sum(nil))
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if removeErr := os.Remove(f.Name()); removeErr != nil && !os.IsNotExist(removeErr) {
			err = fmt.Errorf("%w, and %w", err, removeErr)
		}
	}
	return err
}
