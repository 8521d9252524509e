package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"

	"github.com/medfed/medfed/chaincode/codes"
)

// WriteFile writes the weights as a safetensors file with metadata: texts that the
// format keeps beside the tensors, under __metadata__. Without metadata the bytes are
// the canonical ones. The weights' digest is that of their canonical bytes, not of this
// file.
func (w *Weights) WriteFile(out io.Writer, metadata map[string]string) error {
	if len(metadata) == 0 {
		_, err := w.WriteTo(out)
		return err
	}
	w.mustBeValid()
	header, err := fileHeader(metadata, w.Tensors)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	if _, err := out.Write(append(b, header...)); err != nil {
		return err
	}
	_, err = w.writeValues(out)
	return err
}

// ParseFile reads what WriteFile writes and nothing else, as [Parse] does, whose errors
// it gives. The metadata are nil where there are none.
func ParseFile(b []byte) (*Weights, map[string]string, error) {
	header, data, err := split(b)
	if err != nil {
		return nil, nil, err
	}
	entries, err := parseHeader(header, true)
	if err != nil {
		return nil, nil, err
	}
	var beside struct {
		Metadata map[string]string `json:"__metadata__"`
	}
	if err := json.Unmarshal(header, &beside); err != nil {
		return nil, nil, headerError(err)
	}
	if beside.Metadata == nil {
		w, err := Parse(b)
		return w, nil, err
	}
	w, err := layOut(entries, uint64(len(data)))
	if err != nil {
		return nil, nil, err
	}
	if canonical, err := fileHeader(beside.Metadata, w.Tensors); err != nil || !bytes.Equal(header, canonical) {
		return nil, nil, codes.Errorf("MF-WEIGHTS-NONCANONICAL", "the header is valid but not in canonical form; write it with medfed")
	}
	for i, e := range entries {
		w.Tensors[i].Data = parseFloats(data[e.Offsets[0]:e.Offsets[1]])
	}
	return w, beside.Metadata, nil
}

// fileHeader is the canonical header with metadata in front of the tensors.
func fileHeader(metadata map[string]string, tensors []Tensor) ([]byte, error) {
	texts, err := json.Marshal(metadata)
	if err != nil {
		return nil, headerError(err)
	}
	header := append([]byte(`{"`+metadataName+`":`), texts...)
	if len(tensors) > 0 {
		header = append(header, ',')
	}
	header = append(header, bytes.TrimRight(appendHeader(nil, tensors), " ")[1:]...)
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	return header, nil
}
