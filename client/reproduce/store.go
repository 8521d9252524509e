package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/metrics"
)

// outcome is what came of a run.
type outcome struct {
	Test   metrics.Result   `json:"test"`            // of the final model on the test split
	Curve  []metrics.Result `json:"curve,omitempty"` // by round or epoch
	Digest string           `json:"digest"`          // of the final model

	seed int64 // of the run, where the pages ask for the runs of several
}

// record is a finished run as it is kept.
type record struct {
	Key     json.RawMessage `json:"key"` // all that the outcome depends on besides the code
	Outcome outcome         `json:"outcome"`
	Commit  string          `json:"commit"`
	Date    string          `json:"date"`
	Seconds float64         `json:"seconds"`
}

// store keeps finished runs, one a file, by what they depend on.
type store struct {
	folder string
	commit string
	read   map[string]*record // by key
}

// keyText is the JSON of a key.
func keyText(key any) []byte {
	text, err := json.Marshal(key)
	if err != nil {
		panic(err) // keys are structs of numbers and strings
	}
	return text
}

// path is where a run is kept.
func (s *store) path(key []byte, extension string) string {
	sum := sha256.Sum256(key)
	return filepath.Join(s.folder, hex.EncodeToString(sum[:16])+extension)
}

// find gives a finished run, or nil.
func (s *store) find(key any) (*record, error) {
	text := keyText(key)
	if kept := s.read[string(text)]; kept != nil {
		return kept, nil
	}
	path := s.path(text, ".json")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	kept := &record{}
	if err == nil {
		err = json.Unmarshal(content, kept)
	}
	if err != nil {
		return nil, fmt.Errorf("the finished run %s can't be read: %w; remove this file, which holds that one run's result and no more, and it is run again", path, err)
	}
	s.know(text, kept)
	return kept, nil
}

func (s *store) know(key []byte, kept *record) {
	if s.read == nil {
		s.read = map[string]*record{}
	}
	s.read[string(key)] = kept
}

// run does a run and keeps it.
func (s *store) run(ctx context.Context, c cell, progress func(done, total int)) (*record, error) {
	text, start := keyText(c.key), time.Now()
	result, err := c.run(ctx, s.path(text, ".checkpoint"), progress)
	if err != nil {
		return nil, err
	}
	kept := &record{text, result, s.commit, start.UTC().Format(time.RFC3339), time.Since(start).Seconds()}
	content, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	if err := simulate.WriteFile(s.path(text, ".json"), content); err != nil {
		return nil, err
	}
	os.Remove(s.path(text, ".checkpoint")) // done; where there is none there was none
	s.know(text, kept)
	return kept, nil
}
