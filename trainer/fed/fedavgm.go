package fed

import "github.com/medfed/medfed/trainer/weights"

// The state of FedAvgM: for every trained tensor x of the model fedavgm.momentum/x, in
// the model's order.
const stateMomentum = "fedavgm.momentum/"

// fedAvgM adds the distance from the previous global model to the mean to the
// momentum, and steps along that. Every product is rounded before it is added to
// anything.
func fedAvgM(s Strategy, previous *weights.Weights, updates []Update) (*weights.Weights, error) {
	if name, ok := previous.Finite(); !ok {
		return nil, damaged(name)
	}
	rate, momentum := s.value("server_learning_rate"), s.value("server_momentum")
	model, next := Model(previous), average(updates)
	fresh := model == previous // without state: before the first step
	var state []weights.Tensor
	for i, t := range model.Tensors {
		if isStatistic(t.Name) {
			continue
		}
		velocity := zeros(stateMomentum, t)
		if !fresh {
			var err error
			if velocity, err = readTensor(previous, stateMomentum, t); err != nil {
				return nil, err
			}
		}
		data := next.Tensors[i].Data
		for j, x := range t.Data {
			delta := float64(data[j]) - float64(x)
			velocity.Data[j] = float32(float64(momentum*float64(velocity.Data[j])) + delta)
			data[j] = float32(float64(x) + float64(rate*float64(velocity.Data[j])))
		}
		state = append(state, velocity)
	}
	next.Tensors = append(next.Tensors, state...)
	return finite(next, "server_learning_rate")
}
