package simulate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"

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
	return Checkpoint{Settings: s.settings, SHA256: s.data.SHA256, Standings: s.course.Standings, Rounds: s.rounds, Global: s.global.Bytes()}
}

// Resume goes on from a checkpoint. The settings, data and first weights must be the ones
// it was made with, save for the number of rounds; the error is MF-SIMULATE-CHECKPOINT.
func Resume(settings Settings, data *dataset.Data, first *weights.Weights, from Checkpoint) (*Simulation, error) {
	other := from.Settings
	other.Rounds = settings.Rounds
	if !reflect.DeepEqual(other, settings) || from.SHA256 != data.SHA256 {
		return nil, codes.Errorf("MF-SIMULATE-CHECKPOINT", "the checkpoint is of a simulation with other settings or data; use the same, or another checkpoint file")
	}
	s, err := New(settings, data, first)
	if err != nil {
		return nil, err
	}
	global, err := weights.Parse(from.Global)
	if err == nil {
		err = weights.Compatible(s.global, fed.Model(global))
	}
	if err != nil {
		return nil, codes.Wrapf("MF-SIMULATE-CHECKPOINT", "the checkpoint's global model can't be used: %w; name another checkpoint file, and its rounds are simulated again: this one stays as it is", err)
	}
	s.rounds = from.Rounds
	if err := s.replay(from); err != nil {
		return nil, err
	}
	s.global = global
	if newest := s.newest(); newest.Digest != s.global.Digest() {
		return nil, codes.Errorf("MF-SIMULATE-CHECKPOINT", "the checkpoint's global model is not that of its last closed round; name another checkpoint file, and its rounds are simulated again: this one stays as it is")
	}
	return s, nil
}

// replay takes the checkpoint's rounds again, and refuses those that the rules do not
// give. They are of a task of as many rounds as either settings ask for.
func (s *Simulation) replay(from Checkpoint) error {
	s.course.Task.Rounds = max(s.settings.Rounds, from.Settings.Rounds)
	if s.settings.Masters == 0 {
		for _, round := range from.Rounds {
			if err := s.repeat(round.RoundState); err != nil {
				return err
			}
		}
		return nil
	}
	var rounds []fl.RoundState
	for _, round := range from.Rounds {
		rounds = append(rounds, round.RoundState)
	}
	s.course = fl.Replay(s.course.State(), rounds)
	state := s.course.State()
	state.Standings = from.Standings
	if found := fl.Differences(state, rounds); len(found) > 0 {
		return codes.Errorf("MF-SIMULATE-CHECKPOINT", "the checkpoint's round %d is not what the rules give in %q; name another checkpoint file, and its rounds are simulated again: this one stays as it is", found[0].Round, found[0].What)
	}
	return nil
}

// repeat plays a round without masters again, on the updates and the global model that
// it had. Nothing was scored and attested in it, so that the rules' replay has nothing
// to hold it against.
func (s *Simulation) repeat(round fl.RoundState) error {
	if err := s.open(); err != nil || s.final() {
		return err
	}
	for _, update := range round.Updates {
		s.course.Submit(update)
	}
	if len(round.Updates) == 0 {
		return s.course.FailRound(round.Round.Reason, now)
	}
	if err := s.course.CloseTraining(now); err != nil {
		return err
	}
	if err := s.unscored(round.Round.Results); err != nil || s.final() {
		return err
	}
	if round.Round.Global == nil {
		return s.course.FailRound(round.Round.Reason, now)
	}
	return s.close(*round.Round.Global)
}

// newest refers to the newest global model as the rounds have it.
func (s *Simulation) newest() fl.ModelRef {
	newest := s.course.Task.First
	for _, round := range s.course.Rounds {
		if round.Round.Global != nil {
			newest = *round.Round.Global
		}
	}
	return newest
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
		return c, codes.Wrapf("MF-SIMULATE-CHECKPOINT", "the checkpoint can't be read: %w; name another checkpoint file, and its rounds are simulated again: this one stays as it is", err)
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
