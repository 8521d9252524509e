package main

import (
	"github.com/medfed/medfed/client/node"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/model"
)

// What things cost in seconds, measured on one core with AVX-512. The plan's guesses
// rest on them, and are scaled by what the finished runs took.
const (
	passCost = 0.3e-3 // an example forward and backward through the CNN; a third of it forward only
	stepCost = 1e-3   // a step or an evaluation besides its examples
)

// headCost is what a step of the head behind a backbone costs.
var headCost = map[string]float64{model.VGG16: 3e-3, model.ResNet50: 12e-3}

// modelCost is how many times longer than the CNN's an example takes.
var modelCost = map[string]float64{model.HMChainCNN: 1, model.ResNet18: 12}

// imageCost is what the features of an image cost.
var imageCost = map[string]float64{model.VGG16: 0.14, model.ResNet50: 0.05}

// federatedCost is that of a simulation on a set with so many examples.
func federatedCost(s simulate.Settings, train, validation, test int) float64 {
	mine := float64(train) / float64(s.Clients)
	updates := node.Float(s.Participation) * float64(s.Clients-s.Masters)
	scored := updates * float64(s.Masters) * mine
	passes := updates*mine*float64(s.Epochs) + (scored+float64(validation))/3
	steps := updates*float64(s.Epochs*batches(int(mine), s.BatchSize)) + updates*float64(s.Masters)
	return float64(s.Rounds)*(modelCost[s.Model]*passes*passCost+steps*stepCost) + modelCost[s.Model]*float64(test)*passCost/3
}

// headCosts is that of a head's epochs at several places of n examples in all.
func headCosts(backbone string, epochs, places, n, batch int) float64 {
	return float64(epochs*places*batches(n/places, batch)) * headCost[backbone]
}

// batches is how many steps n examples take.
func batches(n, size int) int { return max(1, (n+size-1)/size) }
