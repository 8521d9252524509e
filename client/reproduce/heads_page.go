package main

import (
	"fmt"
	"strings"
)

// spreads are a head's AUC and accuracy as mean and standard deviation over five seeds.
type spreads struct{ auc, aucDeviation, accuracy, accuracyDeviation float64 }

// headsBefore are the heads on the X-rays while their features were standardised outside
// of the weights, by all training images, at every hospital and in both parts: runs of
// the same settings with the seeds 1 to 5, at commit 1b0b94d.
var headsBefore = map[string]spreads{
	"vgg16 federated":      {0.9844, 0.0007, 0.9656, 0.0131},
	"vgg16 centralised":    {0.9873, 0.0021, 0.9844, 0.0000},
	"resnet50 federated":   {0.9633, 0.0060, 0.9656, 0.0070},
	"resnet50 centralised": {0.9656, 0.0060, 0.9531, 0.0000},
}

// pneumoniaHeads are heads behind a random VGG16 (seed 1) on PneumoniaMNIST, before and
// after, on the same features. To spare time they were trained on its first 2,500 training
// images, and measured once on its test split: centralised with the settings of Table 3,
// and among ten hospitals with equal shares in ten rounds of one epoch, batch 32, learning
// rate 0.02 and momentum 0.9.
var pneumoniaHeads = []struct {
	way         string
	before, now spreads
}{
	{"federated", spreads{0.9407, 0.0030, 0.8673, 0.0035}, spreads{0.9405, 0.0029, 0.8676, 0.0029}},
	{"centralised", spreads{0.9408, 0.0074, 0.8676, 0.0095}, spreads{0.9408, 0.0074, 0.8676, 0.0095}},
}

// headsPage sets the heads beside what they were.
func (b *book) headsPage() string {
	var p strings.Builder
	b.heading(&p, "Heads behind frozen backbones, before and after")
	p.WriteString("A head's features were once standardised outside of the weights: where it was trained by what was trained on, and where it was scored by what was scored, so that a test set standardised itself, and a single image became zeros. Now the head begins with a batch normalisation without scale and shift. Its mean and variance are those of all examples that a hospital trains on, are averaged as all of a model's running statistics are, and stand in the weights. An image alone and the same image in a set get the same probabilities.\n\n")
	p.WriteString("The numbers before had more than a hospital has: training and test images were standardised by all hospitals' training images together.\n\n")
	var rows [][]string
	add := func(data, head, auc, accuracy string, before spreads) {
		rows = append(rows, []string{data, head, before.text(before.auc, before.aucDeviation), auc, before.text(before.accuracy, before.accuracyDeviation), accuracy})
	}
	for _, name := range figures {
		for _, federated := range []bool{true, false} {
			way := map[bool]string{true: "federated", false: "centralised"}[federated]
			aucs, accuracies := notRun, notRun
			if b.xray != nil {
				ours := b.headOutcomes(name, federated)
				aucs, accuracies = mean(ours, auc, 1, 4), mean(ours, accuracy, 1, 4)
			}
			add("X-rays", name+", "+way, aucs, accuracies, headsBefore[name+" "+way])
		}
	}
	for _, head := range pneumoniaHeads {
		add("pneumoniamnist", "vgg16, "+head.way, head.now.text(head.now.auc, head.now.aucDeviation), head.now.text(head.now.accuracy, head.now.accuracyDeviation), head.before)
	}
	table(&p, []string{"data", "head", "AUC, before", "AUC, now", "ACC, before", "ACC, now"}, rows)
	p.WriteString("Mean ± standard deviation (seeds), of the model after the last round or epoch, on the test split. The backbones are random, seed 1: NOT pre-trained. On the X-rays data and settings are those of [Table II](salim-park.md). The heads on PneumoniaMNIST were trained on its first 2,500 training images, to spare time, and measured on its whole test split, before and after on the same features: centralised with the settings of [Table 3](hu.md), and federated among ten hospitals of equal shares in ten rounds of one epoch, batch 32, learning rate 0.02, momentum 0.9.\n\nSince the runs before, images also keep 16 bits on their way to the backbone, which moves the X-rays' numbers by itself. On the bytes of before, the heads on X-rays now had an AUC of 0.9854, 0.9873, 0.9641 and 0.9656 and an ACC of 0.9688, 0.9844, 0.9656 and 0.9531, in the order of the table.\n\nA head that is trained in one place is the same function as before up to rounding. Table 3's are of that kind, and stand as they were run.\n")
	return p.String()
}

// text is one of the measures.
func (spreads) text(mean, deviation float64) string {
	return fmt.Sprintf("%.4f ± %.4f (5)", mean, deviation)
}

// headsOf are the outcomes of the heads that are trained on a set of MedMNIST.
func (b *book) headsOf(set *huSet) []outcome {
	return b.outcomes(b.options.seeds, func(seed int64) cell { return b.backboneCell(set, seed) })
}
