package simulate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/model"
	"github.com/medfed/medfed/trainer/weights"
)

// client is one participant.
type client struct {
	id       string
	data     dataset.Split
	poisoned bool
}

// poisonStream separates the draw of the dishonest clients from other numbers of
// the seed.
const poisonStream = 77

// newClients shares the training examples out, and poisons those of the clients
// that flip labels.
func newClients(s Settings, data *dataset.Data) ([]client, error) {
	shards, err := s.partition().Shards(data.Train, s.Clients, s.Seed)
	if err != nil {
		return nil, err
	}
	dishonest := rand.New(rand.NewPCG(uint64(s.Seed), poisonStream)).Perm(s.Clients)[:s.Poison.clients(s.Clients)]
	clients := make([]client, s.Clients)
	for i := range clients {
		clients[i] = client{nodeID(i), data.Train.View(shards[i]), slices.Contains(dishonest, i)}
		if clients[i].poisoned && s.Poison.Kind == PoisonLabelFlip {
			for j, label := range clients[i].data.Labels {
				clients[i].data.Labels[j] = len(data.Classes) - 1 - label
			}
		}
	}
	return clients, nil
}

// salt is 32 bytes that the seed gives to a client for a round, in hexadecimal:
// its beacon salt for round 0, else that of its scores.
func (s Settings) salt(id string, round int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "medfed/simulate/salt/1/%d/%d/%s", s.Seed, round, id))
	return hex.EncodeToString(sum[:])
}

// trainingSeed gives the shuffles of a client in a round.
func (s Settings) trainingSeed(id string, round int) int64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "medfed/simulate/training/1/%d/%d/%s", s.Seed, round, id))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// noise is what a client's private training of a round draws from. In a simulation
// the seed gives it: whoever knows the seed can take the noise away again.
func (s Settings) noise(id string, round int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "medfed/simulate/noise/1/%d/%d/%s", s.Seed, round, id))
	return sum[:]
}

// dataset names a client's examples in the account of what is spent.
func (s Settings) dataset(id string) string {
	if !s.Privacy.On() {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "medfed/simulate/dataset/1/%d/%s", s.Seed, id))
	return hex.EncodeToString(sum[:])
}

// train is a client's update from the global model.
func (s *Simulation) train(ctx context.Context, c *client, round int, start *weights.Weights) (*weights.Weights, error) {
	options := node.TrainOptions(s.terms.Training, s.strategy, round, s.settings.trainingSeed(c.id, round))
	var w *weights.Weights
	var err error
	if s.settings.Privacy.On() {
		w, err = model.TrainPrivately(ctx, s.spec, start, c.data, options, node.PrivateOptions(s.settings.Privacy, s.settings.noise(c.id, round)))
	} else {
		w, err = model.Train(ctx, s.spec, start, c.data, options)
	}
	if err == nil && c.poisoned {
		s.settings.Poison.spoil(start, w)
	}
	return w, err
}

// spoil turns trained weights into what a dishonest client sends.
func (p Poison) spoil(start, trained *weights.Weights) {
	for i, t := range trained.Tensors {
		if strings.HasSuffix(t.Name, ".running_mean") || strings.HasSuffix(t.Name, ".running_var") {
			continue
		}
		for j, v := range t.Data {
			switch from := start.Tensors[i].Data[j]; p.Kind {
			case PoisonSignFlip:
				t.Data[j] = -v
			case PoisonScale:
				t.Data[j] = from + float32(p.Factor*float64(v-from))
			}
		}
	}
}

// candidate is a model that masters score: an update or, under the name
// fl.PreviousGlobal, what the round began with.
type candidate struct {
	node    string
	weights *weights.Weights
}

// candidates are all that every master of a round scores.
func candidates(previous *weights.Weights, updates []fed.Update) []candidate {
	all := []candidate{{fl.PreviousGlobal, previous}}
	for _, update := range updates {
		all = append(all, candidate{update.ID, update.Weights})
	}
	return all
}

// score is what a master measures a model to be on its own examples.
func (s *Simulation) score(ctx context.Context, master *client, c candidate) (fl.Micro, error) {
	if _, finite := c.weights.Finite(); !finite {
		return 0, nil
	}
	result, err := model.Evaluate(ctx, s.spec, c.weights, master.data)
	if err != nil {
		return 0, err
	}
	if s.settings.Metric == fl.MetricAccuracy {
		return node.Micro(result.Accuracy), nil
	}
	return node.Micro(result.AUC), nil
}

// scores seals and opens a master's scores of a round.
func (s *Simulation) scores(ctx context.Context, master *client, round int, all []candidate) (fl.ScoreCommitment, fl.Reveal, error) {
	var scores []fl.Score
	for _, c := range all {
		value, err := s.score(ctx, master, c)
		if err != nil {
			return fl.ScoreCommitment{}, fl.Reveal{}, err
		}
		scores = append(scores, fl.Score{Node: c.node, Score: value})
	}
	scores = fl.SortScores(scores)
	salt := s.settings.salt(master.id, round)
	return fl.ScoreCommitment{Master: master.id, Hash: fl.ScoresCommitment(task, round, master.id, scores, salt)},
		fl.Reveal{Master: master.id, Scores: scores, Salt: salt}, nil
}
