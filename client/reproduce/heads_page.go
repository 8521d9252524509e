package main

import (
	"fmt"
	"strings"
)

// before are the measures of a head while its features were standardised outside of the
// weights: by all training images, at every hospital and in both parts (commit 1b0b94d,
// runs of the same settings with the seeds 1 to 5).
type before struct{ auc, accuracy, aucDeviation, accuracyDeviation float64 }

// headsBefore are by data, backbone and way.
var headsBefore = map[string]before{}

// headsPage sets the heads beside what they were.
func (b *book) headsPage() string {
	var p strings.Builder
	b.heading(&p, "Heads behind frozen backbones, before and after")
	p.WriteString("A head's features were once standardised outside of the weights, by all training images together: whoever scored the head standardised by what was scored, so that a test set standardised itself, and a single image became zeros. Now the head begins with a batch normalisation without scale and shift. Its mean and variance are those of all examples that a hospital trains on, are averaged as all of a model's running statistics are, and stand in the weights. An image alone and the same image in a set get the same probabilities.\n\n")
	p.WriteString("In the runs before, training and test images were both standardised by all training images, which no hospital has.\n\n")
	var rows [][]string
	add := func(data, backbone, way string, ours []outcome) {
		then, known := headsBefore[strings.Join([]string{data, backbone, way}, " ")]
		row := []string{data, backbone + ", " + way, notRun, mean(ours, auc, 1, 3), notRun, mean(ours, accuracy, 1, 3)}
		if known {
			row[2], row[4] = fmt.Sprintf("%.3f ± %.3f (5)", then.auc, then.aucDeviation), fmt.Sprintf("%.3f ± %.3f (5)", then.accuracy, then.accuracyDeviation)
		}
		rows = append(rows, row)
	}
	for _, set := range b.sets {
		if set.data != nil && set.backbone != nil {
			add(set.name, set.backbone.Spec.Name, "centralised", b.headsOf(set))
		}
	}
	if b.xray != nil {
		for _, name := range figures {
			add("X-rays", name, "federated", b.headOutcomes(name, true))
			add("X-rays", name, "centralised", b.headOutcomes(name, false))
		}
	}
	table(&p, []string{"data", "head", "AUC, before", "AUC, now", "ACC, before", "ACC, now"}, rows)
	p.WriteString("Mean ± standard deviation (seeds), of the model after the last round or epoch, on the test split; backbones and settings are those of [Table 3](hu.md) and [Table II](salim-park.md).\n")
	return p.String()
}

// headsOf are the outcomes of the heads that are trained on a set of MedMNIST.
func (b *book) headsOf(set *huSet) []outcome {
	return b.outcomes(b.options.headSeeds, func(seed int64) cell { return b.backboneCell(set, seed) })
}
