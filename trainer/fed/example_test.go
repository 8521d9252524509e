package fed_test

import (
	"fmt"
	"log"

	"github.com/medfed/medfed/trainer/fed"
	"github.com/medfed/medfed/trainer/weights"
)

// FedAvg weighs each update by its examples; the median keeps a liar out.
func ExampleAggregate() {
	update := func(id string, examples int64, value float32) fed.Update {
		tensor := weights.Tensor{Name: "w", Shape: []int{1}, Data: []float32{value}}
		return fed.Update{ID: id, NumExamples: examples, Weights: &weights.Weights{Tensors: []weights.Tensor{tensor}}}
	}
	updates := []fed.Update{update("Hospital1MSP/node1", 300, 1), update("Hospital2MSP/node1", 100, 2), update("Hospital3MSP/node1", 100, 1000)}
	for _, strategy := range []string{fed.FedAvg, fed.FedMedian} {
		global, err := fed.Aggregate(strategy, nil, updates)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(strategy, global.Tensors[0].Data[0])
	}
	// Output:
	// fedavg 201
	// fedmedian 2
}
