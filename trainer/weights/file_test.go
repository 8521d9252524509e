package weights

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/codes"
)

// What is written beside the weights is read again, and does not change their digest;
// without it the file is the canonical one.
func TestFileKeepsWeightsAndMetadata(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &Weights{Tensors: []Tensor{
			{Name: "a", Shape: []int{2, 1}, Data: rapid.SliceOfN(rapid.Float32(), 2, 2).Draw(t, "a")},
			{Name: "b", Shape: []int{1}, Data: []float32{rapid.Float32().Draw(t, "b")}},
		}}
		metadata := rapid.MapOf(rapid.StringN(1, 5, -1), rapid.String()).Draw(t, "metadata")
		var file bytes.Buffer
		if err := w.WriteFile(&file, metadata); err != nil {
			t.Fatal(err)
		}
		read, beside, err := ParseFile(file.Bytes())
		if err != nil || read.Digest() != w.Digest() || len(beside) != len(metadata) || !maps.Equal(beside, metadata) && len(metadata) > 0 {
			t.Fatalf("%v: %v became %v", err, metadata, beside)
		}
		if len(metadata) == 0 && !bytes.Equal(file.Bytes(), w.Bytes()) {
			t.Fatal("without metadata the file is not the canonical one")
		}
		cut := file.Bytes()[:rapid.IntRange(0, file.Len()-1).Draw(t, "cut")]
		if _, _, err := ParseFile(cut); !strings.HasPrefix(string(codes.Of(err)), "MF-WEIGHTS-") {
			t.Fatalf("cut to %d bytes: %v", len(cut), err)
		}
	})
}

// Only one form of a file is taken.
func TestFileInAnotherForm(t *testing.T) {
	w := &Weights{Tensors: []Tensor{{Name: "a", Shape: []int{1}, Data: []float32{1}}}}
	var file bytes.Buffer
	if err := w.WriteFile(&file, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{`"k":"v"`: `"k": "v"`, `{"__metadata__":{"k":"v"},"a"`: `{"__metadata__":{"k":1},"a" `} {
		text := bytes.Replace(file.Bytes(), []byte(from), []byte(to), 1)
		text[0] += byte(len(to) - len(from))
		if _, _, err := ParseFile(text); !strings.HasPrefix(string(codes.Of(err)), "MF-WEIGHTS-") {
			t.Errorf("%s: %v", to, err)
		}
	}
}
