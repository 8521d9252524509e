package simulate

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/weights"
)

// Checkpoint is a simulation between two rounds.
type Checkpoint struct {
	Settings  Settings      `json:"settings"`
	SHA256    string        `json:"sha256"` // of the data
	Standings []fl.Standing `json:"standings"`
	Rounds    []Round       `json:"rounds"`
	Global    []byte        `json:"global"` // the canonical bytes of the newest global model
}

func (s *Simulation) checkpoint() Checkpoint {
	return Checkpoint{Settings: s.settings, SHA256: s.data.SHA256, Standings: s.standings, Rounds: s.rounds, Global: s.global.Bytes()}
}

// Resume goes on from a checkpoint. The settings and data must be the ones it was
// made with, save for the number of rounds; the error is MF-SIMULATE-CHECKPOINT.
func Resume(settings Settings, data *dataset.Data, from Checkpoint) (*Simulation, error) {
	other := from.Settings
	other.Rounds = settings.Rounds
	if other != settings || from.SHA256 != data.SHA256 {
		return nil, codes.Errorf("MF-SIMULATE-CHECKPOINT", "the checkpoint is of a simulation with other settings or data; use the same, or another checkpoint file")
	}
	s, err := New(settings, data)
	if err != nil {
		return nil, err
	}
	global, err := weights.Parse(from.Global)
	if err == nil {
		err = weights.Compatible(s.global, fed.Model(global))
	}
	if err != nil {
		return nil, codes.Wrapf("MF-SIMULATE-CHECKPOINT", "the checkpoint's global model can't be used: %w; begin anew with another checkpoint file", err)
	}
	s.global, s.standings, s.rounds = global, from.Standings, from.Rounds
	for _, round := range s.rounds {
		s.spendings = fl.ReplaySpendings(s.terms, s.nodes, s.spendings, round.Updates)
	}
	if err := s.replay(); err != nil {
		return nil, err
	}
	return s, nil
}

// replay refuses rounds that the rules do not give.
func (s *Simulation) replay() error {
	newest, _ := s.newest()
	if newest.Digest != s.global.Digest() {
		return codes.Errorf("MF-SIMULATE-CHECKPOINT", "the checkpoint's global model is not that of its last closed round; begin anew with another checkpoint file")
	}
	if s.settings.Masters == 0 {
		return nil // nothing was scored and attested, so that there is nothing to replay
	}
	state, rounds := s.State()
	if found := fl.Differences(state, rounds); len(found) > 0 {
		return codes.Errorf("MF-SIMULATE-CHECKPOINT", "the checkpoint's round %d is not what the rules give in %q; begin anew with another checkpoint file", found[0].Round, found[0].What)
	}
	return nil
}

// newest refers to the newest global model as the rounds have it.
func (s *Simulation) newest() (ref fl.ModelRef, made int) {
	for _, round := range s.rounds {
		if round.Round.Global != nil {
			ref, made = *round.Round.Global, round.Round.Number
		}
	}
	if made == 0 {
		state, _ := s.State()
		ref = state.Task.First
	}
	return ref, made
}

// ReadCheckpoint reads a checkpoint file. The error is MF-SIMULATE-CHECKPOINT,
// or that of a file that is not there: errors.Is(err, fs.ErrNotExist).
func ReadCheckpoint(path string) (Checkpoint, error) {
	var c Checkpoint
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return c, err
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, codes.Wrapf("MF-SIMULATE-CHECKPOINT", "the checkpoint can't be read: %w; begin anew with another checkpoint file", err)
	}
	return c, nil
}

// WriteCheckpoint replaces a checkpoint file in one step.
func WriteCheckpoint(path string, c Checkpoint) error {
	text, err := json.Marshal(c)
	if err != nil {
		return codes.Wrapf("MF-SIMULATE-WRITE", "the checkpoint can't be written: %w; report it", err)
	}
	return WriteFile(path, text)
}

// WriteFile replaces a file in one step: whoever reads it finds the old content
// or the new. The error is MF-SIMULATE-WRITE.
func WriteFile(path string, content []byte) error {
	err := renameio.WriteFile(path, content, 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return codes.Wrapf("MF-SIMULATE-WRITE", "%s can't be written: %w; check the folder and the disk", path, err)
	}
	return nil
}
