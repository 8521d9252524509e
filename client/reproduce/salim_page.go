package main

import (
	"fmt"
	"strings"

	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
)

// salimPage is Table II and Figs. 3 and 4 of Salim & Park.
func (b *book) salimPage() string {
	var p strings.Builder
	b.heading(&p, "Salim & Park: Table II, Figs. 3 and 4")
	x := b.xray
	if x == nil {
		p.WriteString("Not run: there was no folder of X-rays.\n")
		return p.String()
	}
	data := x.folder.Data
	fmt.Fprintf(&p, "%d X-rays of %d patients to train, %d of %d patients to test (paper's Table I: 152 of 55, 64 of 21). %d hospitals with different patients, %d rounds of one epoch; centralised: %d epochs. A head (dropout, 256, 64, softmax 2) is trained on the features of a frozen backbone, which it normalises by the statistics of the X-rays that a hospital trains on, by SGD with learning rate %v, momentum %v, batch %d: the paper does not give these.\n\n",
		data.Train.Len(), distinct(data.Train.Patients), data.Test.Len(), distinct(data.Test.Patients), hospitals, b.options.xrayRounds, b.options.xrayRounds, xrayRate, xrayMomentum, xrayBatch)
	p.WriteString("**These numbers are no evidence of diagnostic value.** The two classes come from different hospitals, scanners and projections, so that a model can score by telling the source. The paper's images are not known; these are others.\n\n## Table II\n\n")
	var rows [][]string
	for _, name := range figures {
		paper, origin := table2[name], x.backbones[name].Origin
		rows = append(rows, tableIIRow("DL-"+strings.ToUpper(name), paper.federated, b.headOutcomes(name, true), origin), tableIIRow("CL-"+strings.ToUpper(name), paper.centralised, b.headOutcomes(name, false), origin))
	}
	table(&p, []string{"process", "accuracy, paper (Table II)", "ours", "sensitivity, paper", "ours", "specificity, paper", "ours", "backbone"}, rows)
	p.WriteString("DL is federated, CL centralised. After the last round or epoch; percent, mean ± standard deviation over seeds. The positive class is COVID-19.\n\n## Figs. 3 and 4\n\n")
	for _, name := range figures {
		if file := "salim-park-" + name + ".svg"; b.drawn[file] {
			fmt.Fprintf(&p, "![%s by round](%s)\n\n", name, file)
		}
	}
	p.WriteString("Seed 1, on the test split, as in the paper. One choice was made after it had been looked at: in a first run the head on ResNet50's features as they are stayed at an accuracy of 50.0 % through all rounds, and the features have been normalised since; [how](frozen-heads.md) has changed later.\n\n")
	for _, name := range figures {
		p.WriteString(b.reached(name))
	}
	fmt.Fprintf(&p, "\n## Data and commands\n\nX-ray folder: digest %s. All: `make reproduce` with `%s` naming the folder. By themselves, with either backbone and any seed (`reproduce` does again what it has kept only with `-work` and another folder):\n\n", data.SHA256, xrayVariable)
	table(&p, []string{"row", "command"}, [][]string{
		{"DL-VGG16", code(ownCommand(xrayName(model.VGG16, "federated", 1)))},
		{"CL-VGG16", code(ownCommand(xrayName(model.VGG16, "centralised", 1)))},
	})
	return p.String()
}

// reached says in which round the federated model first is as accurate as the
// centralised one at its end (the paper: 38 for VGG16, 74 for ResNet50).
func (b *book) reached(name string) string {
	federated, centralised := b.headOutcomes(name, true), b.headOutcomes(name, false)
	if len(federated) == 0 || len(centralised) == 0 {
		return ""
	}
	paper := map[string]int{model.VGG16: 38, model.ResNet50: 74}[name]
	goal := centralised[0].Test.Accuracy
	for i, m := range federated[0].Curve {
		if m.Accuracy >= goal {
			return fmt.Sprintf("- %s: the federated model first reaches the accuracy at which the centralised one ends (%.1f %%) in round %d (paper: about %d).\n", name, 100*goal, i+1, paper)
		}
	}
	return fmt.Sprintf("- %s: in %d rounds the federated model does not reach the accuracy at which the centralised one ends (%.1f %%; paper: reached in round %d).\n", name, b.options.xrayRounds, 100*goal, paper)
}

// headOutcomes are those of the heads behind a backbone.
func (b *book) headOutcomes(backbone string, federated bool) []outcome {
	return b.outcomes(b.options.headSeeds, func(seed int64) cell { return b.xrayCell(backbone, federated, seed) })
}

func tableIIRow(name string, paper [3]float64, ours []outcome, beside string) []string {
	row := []string{name}
	for i, measure := range []func(metrics.Result) float64{accuracy, sensitivity, specificity} {
		row = append(row, fmt.Sprintf("%.2f", paper[i]), mean(ours, measure, 100, 2))
	}
	return append(row, beside)
}
