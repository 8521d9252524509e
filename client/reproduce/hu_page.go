package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/metrics"
)

// huPage is Tables 3 and 4 of Hu et al., and the paper's setting over its seeds.
func (b *book) huPage() string {
	var p strings.Builder
	s := b.federated(1)
	b.heading(&p, "Hu et al., FL-HMChain: Tables 3 and 4")
	fmt.Fprintf(&p, "Setting: %d clients of which %s %% train a round, %d rounds (paper: 50) of %d epochs, plain SGD, learning rate %s and batch %d where a table does not say otherwise; %d masters score, and an update is accepted down to an AUC of %s below the previous global model's (the paper does not give it), after a round that accepted none as much again. ",
		s.Clients, 100*s.Participation, s.Rounds, s.Epochs, s.LearningRate, s.BatchSize, s.Masters, s.Threshold)
	p.WriteString("Every number of ours is of the model after the last round or epoch, on the test split, touched once a run: mean ± standard deviation (number of seeds). AUC and ACC go from 0 to 1.\n\n")
	p.WriteString("The paper's Table 2 gives the learning rate 0.01, its text and Table 4 give 0.1 for the numbers of Table 3; so 0.1 here. The paper gives one number a cell, without a spread.\n\n## Table 3\n\n")
	table(&p, []string{"data", "model", "AUC, paper (Table 3)", "AUC, ours", "ACC, paper (Table 3)", "ACC, ours", "beside the number"}, b.table3Rows())
	b.images(&p, "Table 3 on %s", "hu-table3-%s.svg")
	fmt.Fprintf(&p, "## The paper's setting over %s\n\nFL-CNN-HMChain with %d clients, %s %% a round, %d rounds, %d epochs, batch %d; below it what is reached by the additions that are listed under the table.\n\n",
		seedsOf(b.options.paperSeeds), s.Clients, 100*s.Participation, s.Rounds, s.Epochs, s.BatchSize)
	table(&p, []string{"data", "model", "AUC", "AUC, least to greatest", "ACC", "ACC, least to greatest", "seeds", "beside the number"}, b.seedsRows())
	b.additionsList(&p)
	b.images(&p, "the paper's setting on %s, by round", "hu-rounds-%s.svg")
	p.WriteString("## Table 4\n\n")
	table(&p, []string{"data", "learning rate", "batch", "AUC, paper (Table 4)", "AUC, ours", "ACC, paper (Table 4)", "ACC, ours", "beside the number"}, b.table4Rows())
	b.images(&p, "Table 4, learning rates on %s", "hu-table4-rates-%s.svg")
	b.images(&p, "Table 4, batch sizes on %s", "hu-table4-batches-%s.svg")
	b.huSources(&p)
	return p.String()
}

// images shows a plot of every set that there is one of.
func (b *book) images(p *strings.Builder, title, name string) {
	for _, set := range b.sets {
		if file := fmt.Sprintf(name, set.name); b.drawn[file] {
			fmt.Fprintf(p, "![%s](%s)\n\n", fmt.Sprintf(title, set.name), file)
		}
	}
}

// huSources says where the data are from and how every number is made.
func (b *book) huSources(p *strings.Builder) {
	p.WriteString("## Data\n\n")
	for _, set := range b.sets {
		if set.absent != "" {
			fmt.Fprintf(p, "- %s: not run: %s.", set.name, set.absent)
		} else {
			fmt.Fprintf(p, "- %s: SHA-256 %s. A client has at most %d examples.", set.name, set.data.SHA256, set.mine(b.federated(1)))
		}
		if counted := paperTrain[set.name]; counted != set.info.Train {
			fmt.Fprintf(p, " The paper counts %d training images, the present file has %d.", counted, set.info.Train)
		}
		p.WriteString("\n")
	}
	p.WriteString("\n## Commands\n\nAll: `make reproduce`. By themselves, with any set and seed (`reproduce` does again what it has kept only with `-work` and another folder); the command of every run is in [runs.json](runs.json):\n\n")
	s := b.federated(1)
	rate, size := s, s
	rate.LearningRate, size.BatchSize = learningRates[1], batchSizes[1]
	data := b.sets[0].name
	for _, set := range b.sets {
		if set.data != nil {
			data = set.name
			break
		}
	}
	epochs := b.centralEpochs()
	table(p, []string{"row", "command"}, [][]string{
		{"FL-CNN-HMChain", code(command(data, s))},
		{"Table 4, learning rate 0.01", code(command(data, rate))},
		{"Table 4, batch 32", code(command(data, size))},
		{fmt.Sprintf("CNN, %d epochs", epochs[1]), code(ownCommand(centralName(data, s.Model, epochs[1], 1)))},
		{"VGG16, frozen", code(ownCommand(centralName(data, "vgg16", epochs[0], 1)))},
	})
}

// code is text as Markdown shows what is typed; a | would end a table's cell.
func code(text string) string { return "`" + strings.ReplaceAll(text, "|", `\|`) + "`" }

// pair is a row's four numbers.
func (set *huSet) pair(paper published, ours []outcome) []string {
	row := []string{fmt.Sprintf("%.3f", paper.auc), "no data", fmt.Sprintf("%.3f", paper.accuracy), "no data"}
	if set.data != nil {
		row[1], row[3] = mean(ours, auc, 1, 3), mean(ours, accuracy, 1, 3)
	}
	return row
}

func (b *book) table3Rows() [][]string {
	var rows [][]string
	epochs := b.centralEpochs()
	for _, set := range b.sets {
		add := func(name, paper, beside string, ours []outcome) {
			p := table3[paper][set.name]
			rows = append(rows, append(append([]string{set.name, name}, set.pair(p, ours)...), b.beside(set, p, ours, beside)))
		}
		if set.data == nil {
			for _, name := range []string{"VGG16", "CNN", "FL-CNN-HMChain"} {
				add(name, name, "", nil)
			}
			continue
		}
		if set.backbone == nil {
			add("VGG16, frozen", "VGG16", set.backboneNote, nil)
		} else {
			add("VGG16, frozen", "VGG16", set.backbone.Origin+"; images enlarged from 28 to 224 pixels", b.headsOf(set))
		}
		for i, n := range slices.Compact(epochs) {
			beside := []string{"centralised, the federated run's epochs, as the paper says", "centralised, every example is seen as often as in the federated run"}[i]
			add(fmt.Sprintf("CNN, %d epochs", n), "CNN", beside, b.outcomes(b.options.seeds, func(seed int64) cell { return b.centralCell(set, n, seed) }))
		}
		add("FL-CNN-HMChain", "FL-CNN-HMChain", "federated", b.outcomes(b.options.paperSeeds, func(seed int64) cell { return b.paperCell(set, seed) }))
	}
	return rows
}

// beside is what is said beside a row's numbers: what is known of the runs, which of
// their tasks failed, and which accuracies are no better than an answer that does not
// look at the image.
func (b *book) beside(set *huSet, paper published, ours []outcome, known string) string {
	if set.data == nil {
		return "the data are not on this machine"
	}
	if failed := b.failed(ours); known == "" {
		known = failed
	} else if failed != "" {
		known += "; " + failed
	}
	most, n := commonest(set.data.Test.Labels)
	share := float64(most) / float64(n)
	var whose []string
	if fmt.Sprintf("%.3f", share) == fmt.Sprintf("%.3f", paper.accuracy) {
		whose = append(whose, "the paper's")
	}
	if len(ours) > 0 && !slices.ContainsFunc(ours, func(o outcome) bool { return o.Test.Accuracy != share }) {
		whose = append(whose, "our")
	}
	if whose == nil {
		return known
	}
	text := fmt.Sprintf("%s ACC is that of always answering the commoner class (%d of %d)", strings.Join(whose, " and "), most, n)
	if known != "" {
		text = known + "; " + text
	}
	return text
}

// failed says which federated tasks ended before all their rounds had closed. A curve
// has a point for every round that closed; a centralised run has none.
func (b *book) failed(ours []outcome) string {
	var seeds []string
	for _, o := range ours {
		if n := len(o.Curve); n > 0 && n < b.options.rounds {
			seeds = append(seeds, fmt.Sprintf("seed %d after %d of %d rounds", o.seed, n, b.options.rounds))
		}
	}
	if seeds == nil {
		return ""
	}
	return fmt.Sprintf("the task failed with %s, when %d rounds in a row had no update that the masters accept, and its last model counts", strings.Join(seeds, ", "), b.federated(1).MaxFailed)
}

// commonest is how many of n labels are the commonest.
func commonest(labels []int) (most, n int) {
	count := map[int]int{}
	for _, label := range labels {
		count[label]++
		most = max(most, count[label])
	}
	return most, len(labels)
}

// seedsRows are the paper's setting over its seeds, plain and with additions, beside
// what is published.
func (b *book) seedsRows() [][]string {
	var rows [][]string
	for _, set := range b.sets {
		if set.data == nil {
			continue
		}
		one := func(name string, p published, beside string) {
			rows = append(rows, []string{set.name, name, fmt.Sprintf("%.3f", p.auc), "", fmt.Sprintf("%.3f", p.accuracy), "", "", beside})
		}
		several := func(name, beside string, setting func(seed int64) cell) {
			ours := b.outcomes(b.options.paperSeeds, setting)
			rows = append(rows, []string{set.name, name, spread(ours, auc), span(ours, auc), spread(ours, accuracy), span(ours, accuracy), strconv.Itoa(len(ours)), b.beside(set, published{}, ours, beside)})
		}
		one("FL-CNN-HMChain, paper", table3["FL-CNN-HMChain"][set.name], "Table 3")
		several("FL-CNN-HMChain, ours, plain", "", func(seed int64) cell { return b.paperCell(set, seed) })
		if additions[set.name] != nil {
			several("ours, with additions", "federated, the same clients, rounds, epochs and batch"+additions[set.name].beside, func(seed int64) cell { return b.additionsCell(set, seed) })
		}
		one("ResNet-18 (28), centralised, published", resnet18[set.name], "MedMNIST v2 (Yang et al., Scientific Data 10:41, 2023)")
	}
	return rows
}

// additionsList says what is added, as a command, and how it was chosen.
func (b *book) additionsList(p *strings.Builder) {
	listed := false
	for _, set := range b.sets {
		if set.data == nil || additions[set.name] == nil {
			continue
		}
		s := b.withAdditions(set, 1)
		fmt.Fprintf(p, "- With additions on %s: `%s`. Chosen by %s.\n", set.name, command(set.name, s), additions[set.name].chosen)
		listed = true
	}
	if listed {
		p.WriteString("\nWith `--masters 0` nobody scores, and every update is accepted. That momentum with decay and balanced classes were worth comparing was known from earlier runs, which had looked at the test split; that server momentum and an ensemble are worth it was seen on training and validation images only. Earlier recipes, without an ensemble or without either, were measured on the test split as well, and these two when batch normalisation began with other running statistics; the history of runs.json has them.\n\n")
	}
}

func (b *book) table4Rows() [][]string {
	var rows [][]string
	s := b.federated(1)
	for _, set := range b.sets {
		add := func(rate, size, beside string, paper published, ours []outcome) {
			rows = append(rows, append(append([]string{set.name, rate, size}, set.pair(paper, ours)...), b.beside(set, paper, ours, beside)))
		}
		for _, rate := range learningRates {
			add(rate.String(), strconv.Itoa(s.BatchSize), "", table4Rates[set.name][rate], b.rateOutcomes(set, rate))
		}
		for _, size := range slices.Sorted(slices.Values(batchSizes)) {
			add(s.LearningRate.String(), strconv.Itoa(size), set.besideBatch(s, size), table4Batches[set.name][size], b.batchOutcomes(set, size))
		}
	}
	return rows
}

// rateOutcomes are those of a learning rate of Table 4.
func (b *book) rateOutcomes(set *huSet, rate fl.Micro) []outcome {
	if set.data == nil {
		return nil
	}
	return b.outcomes(b.seedsAs(rate == learningRates[0]), func(seed int64) cell { return b.rateCell(set, rate, seed) })
}

// batchOutcomes are those of a batch size of Table 4.
func (b *book) batchOutcomes(set *huSet, size int) []outcome {
	if set.data == nil {
		return nil
	}
	s := b.federated(1)
	return b.outcomes(b.seedsAs(set.batch(s, size) == s.BatchSize), func(seed int64) cell { return b.batchCell(set, size, seed) })
}

// seedsAs is the number of runs of a setting: that of the paper's own where it is that.
func (b *book) seedsAs(paper bool) int {
	if paper {
		return b.options.paperSeeds
	}
	return b.options.seeds
}

// besideBatch says where the batch size changes nothing.
func (set *huSet) besideBatch(s simulate.Settings, size int) string {
	if size == s.BatchSize || set.batch(s, size) == size {
		return ""
	}
	return fmt.Sprintf("a client has at most %d examples, one batch: the same run as with %d", set.mine(s), s.BatchSize)
}

// spread is the mean of the final models and its standard deviation.
func spread(outcomes []outcome, measure func(metrics.Result) float64) string {
	if len(outcomes) == 0 {
		return notRun
	}
	m, sd := statistics(values(outcomes, measure))
	if len(outcomes) == 1 {
		return fmt.Sprintf("%.3f", m)
	}
	return fmt.Sprintf("%.3f ± %.3f", m, sd)
}
