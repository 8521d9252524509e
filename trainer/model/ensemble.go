package model

import (
	"context"
	"fmt"
	"slices"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/weights"
)

// An ensemble is several networks of one architecture that differ in their first
// weights only. Each is trained as it would be alone, and the model's probabilities are
// the means of theirs (Hansen and Salamon, IEEE TPAMI 12(10), 1990; deep ensembles:
// Lakshminarayanan et al., arXiv 1612.01474). With few examples the networks err
// differently. Training and evaluation cost as many times those of one.

// memberSlots are the slots of count members, by the names of a torch.nn.ModuleList
// called members.
func memberSlots(member []slot, count int) []slot {
	var all []slot
	for i := range count {
		for _, t := range member {
			t.name = fmt.Sprintf("members.%d.%s", i, t.name)
			all = append(all, t)
		}
	}
	return all
}

// member is the spec of an ensemble's members, and how many there are: the spec itself,
// once, for what is no ensemble.
func (s Spec) member() (Spec, int) {
	a := s.architecture()
	if a.members == 0 {
		return s, 1
	}
	s.Name = a.member
	return s, a.members
}

// membersOf are the weights of each member, under the names they have alone. They share
// memory with w.
func (s Spec) membersOf(w *weights.Weights) []*weights.Weights {
	member, count := s.member()
	if count == 1 {
		return []*weights.Weights{w}
	}
	slots, all := member.slots(), make([]*weights.Weights, count)
	for i, tensors := 0, w.Tensors; i < count; i, tensors = i+1, tensors[len(slots):] {
		all[i] = &weights.Weights{Tensors: slices.Clone(tensors[:len(slots)])}
		for j, t := range slots {
			all[i].Tensors[j].Name = t.name
		}
	}
	return all
}

// join is the opposite of membersOf.
func (s Spec) join(members []*weights.Weights) *weights.Weights {
	if len(members) == 1 {
		return members[0]
	}
	w := new(weights.Weights)
	for _, member := range members {
		w.Tensors = append(w.Tensors, member.Tensors...)
	}
	for i, t := range s.slots() {
		w.Tensors[i].Name = t.name
	}
	return w
}

// trainMembers trains each member of start, with orders of the examples of its own.
func (s Spec) trainMembers(ctx context.Context, start *weights.Weights, data dataset.Split, o TrainOptions) (*weights.Weights, error) {
	member, count := s.member()
	trained := make([]*weights.Weights, count)
	for i, w := range s.membersOf(start) {
		own := o
		own.Seed += int64(i)
		if o.Progress != nil {
			own.Progress = func(done, total int) { o.Progress(i*total+done, count*total) }
		}
		var err error
		if trained[i], err = member.train(ctx, w, data, own); err != nil {
			return nil, err
		}
	}
	return s.join(trained), nil
}

// predictMembers is the mean of what the members of w predict.
func (s Spec) predictMembers(ctx context.Context, w *weights.Weights, data dataset.Split) ([]float32, error) {
	member, count := s.member()
	var sums []float64
	var all []float32
	for _, w := range s.membersOf(w) {
		var err error
		if all, err = member.predict(ctx, w, data); err != nil {
			return nil, err
		}
		if count == 1 {
			return all, nil
		}
		if sums == nil {
			sums = make([]float64, len(all))
		}
		for i, p := range all {
			sums[i] += float64(p)
		}
	}
	for i, sum := range sums {
		all[i] = float32(sum / float64(count))
	}
	return all, nil
}
