package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/metrics"
)

// outcome is what came of a run.
type outcome struct {
	Test    metrics.Result   `json:"test"`            // of the final model on the test split
	Curve   []metrics.Result `json:"curve,omitempty"` // by round or epoch
	Digest  string           `json:"digest"`          // of the final model
	Command string           `json:"command"`         // that makes this run
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
	only   bool     // only what is kept; nothing is run
	used   []record // that the pages rest on
}

// errUnfinished is the error of a run that is not kept where nothing is run.
var errUnfinished = errors.New("not yet run")

// add adds the outcome of a run to those of its setting, unless it is unfinished.
func add[K comparable](all map[K][]outcome, setting K, o outcome, err error) error {
	if errors.Is(err, errUnfinished) {
		return nil
	}
	if err == nil {
		all[setting] = append(all[setting], o)
	}
	return err
}

// path is where a run is kept.
func (s *store) path(key []byte, extension string) string {
	sum := sha256.Sum256(key)
	return filepath.Join(s.folder, hex.EncodeToString(sum[:16])+extension)
}

// run gives a finished run, or does it and keeps it. do gets a path for a checkpoint
// of its own.
func (s *store) run(name string, key any, do func(checkpoint string) (outcome, error)) (outcome, error) {
	text, err := json.Marshal(key)
	if err != nil {
		return outcome{}, err
	}
	var kept record
	content, err := os.ReadFile(s.path(text, ".json"))
	switch {
	case err == nil:
		if err = json.Unmarshal(content, &kept); err != nil {
			return outcome{}, err
		}
		s.used = append(s.used, kept)
		return kept.Outcome, nil
	case !errors.Is(err, fs.ErrNotExist):
		return outcome{}, err
	case s.only:
		return outcome{}, errUnfinished
	}
	say("%s", name)
	start := time.Now()
	result, err := do(s.path(text, ".checkpoint"))
	if err != nil {
		return outcome{}, err
	}
	kept = record{text, result, s.commit, start.UTC().Format(time.RFC3339), time.Since(start).Seconds()}
	if content, err = json.Marshal(kept); err != nil {
		return outcome{}, err
	}
	if err := simulate.WriteFile(s.path(text, ".json"), content); err != nil {
		return outcome{}, err
	}
	os.Remove(s.path(text, ".checkpoint")) // done; where there is none there was none
	say("%s: AUC %.3f, accuracy %.3f after %.0f s", name, result.Test.AUC, result.Test.Accuracy, kept.Seconds)
	s.used = append(s.used, kept)
	return result, nil
}
