package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/metrics"
	"github.com/medfed/medfed/trainer/model"
)

// write writes all pages and plots from what is known so far.
func (b *book) write() error {
	files := map[string][]byte{"README.md": []byte(b.indexPage()), "hu.md": []byte(b.huPage()), "salim-park.md": []byte(b.salimPage())}
	records, err := json.MarshalIndent(b.store.used, "", " ")
	if err != nil {
		return err
	}
	files["runs.json"] = append(records, '\n')
	if err := b.plots(files); err != nil {
		return err
	}
	for name, content := range files {
		if err := simulate.WriteFile(filepath.Join(b.options.out, name), content); err != nil {
			return err
		}
	}
	return nil
}

// indexPage says what there is and where it comes from.
func (b *book) indexPage() string {
	var p strings.Builder
	p.WriteString("# Results\n\nThe experiments of the two papers, run by `make reproduce`")
	if b.options.quick {
		p.WriteString(" with `QUICK=1`: **a few rounds on little data, to show that everything runs. The numbers mean nothing.**")
	}
	p.WriteString(".\n\n- [Hu et al., FL-HMChain: Tables 3 and 4](hu.md)\n- [Salim & Park: Table II, Figs. 3 and 4](salim-park.md)\n- [every run with its settings, data checksum, seed, commit and date](runs.json)\n\n")
	fmt.Fprintf(&p, "%d runs, of commit %s. Written %s on %d cores, %s/%s, %s.\n", len(b.store.used), strings.Join(b.commits(), ", "), time.Now().UTC().Format("2006-01-02"),
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	p.WriteString("\nWhat a table calls \"not yet run\" was not finished then: the same command goes on with it.\n")
	for _, note := range b.notes {
		fmt.Fprintf(&p, "\n%s.\n", note)
	}
	return p.String()
}

// commits are those of the runs.
func (b *book) commits() []string {
	seen := map[string]bool{}
	for _, r := range b.store.used {
		seen[r.Commit] = true
	}
	if len(seen) == 0 {
		return []string{b.store.commit}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Measures of an outcome.
func auc(m metrics.Result) float64         { return m.AUC }
func accuracy(m metrics.Result) float64    { return m.Accuracy }
func sensitivity(m metrics.Result) float64 { return m.Sensitivity }
func specificity(m metrics.Result) float64 { return m.Specificity }

// mean is the mean of the final models, times scale, with its spread where there
// are several.
func mean(outcomes []outcome, measure func(metrics.Result) float64, scale float64, digits int) string {
	if len(outcomes) == 0 {
		return "not yet run"
	}
	var values []float64
	for _, o := range outcomes {
		values = append(values, scale*measure(o.Test))
	}
	m, sd := statistics(values)
	if len(values) == 1 {
		return fmt.Sprintf("%.*f (1 seed)", digits, m)
	}
	return fmt.Sprintf("%.*f ± %.*f", digits, m, digits, sd)
}

// statistics are the mean and the standard deviation of a sample.
func statistics(v []float64) (mean, deviation float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(deviation / float64(max(1, len(v)-1)))
}

func micro(v fl.Micro) string {
	return strconv.FormatFloat(float64(v)/float64(fl.One), 'f', -1, 64)
}

// table writes a Markdown table.
func table(p *strings.Builder, columns []string, rows [][]string) {
	fmt.Fprintf(p, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(p, "| %s |\n", strings.Join(row, " | "))
	}
	p.WriteString("\n")
}

// huPage is Tables 3 and 4 of Hu et al.
func (b *book) huPage() string {
	var p strings.Builder
	s := b.federated(1)
	fmt.Fprintf(&p, "# Hu et al., FL-HMChain: Tables 3 and 4\n\nSetting: %d clients of which %s %% train a round, %d rounds (paper: 50) of %d epochs, plain SGD, learning rate %s and batch %d where a table does not say otherwise; %d masters score. Test split, touched once a run. Ours: mean ± standard deviation over seeds.\n\n",
		s.Clients, micro(100*s.Participation), s.Rounds, s.Epochs, micro(s.LearningRate), s.BatchSize, s.Masters)
	fmt.Fprintf(&p, "The paper's Table 2 gives the learning rate 0.01, its text and Table 4 give 0.1 for the numbers of Table 3; so 0.1 here.\n\n## Table 3\n\n")
	table(&p, []string{"data", "model", "AUC, paper (Table 3)", "AUC, ours", "ACC, paper (Table 3)", "ACC, ours", "beside the number"}, b.table3Rows())
	p.WriteString("## Table 4\n\n")
	table(&p, []string{"data", "learning rate", "batch", "AUC, paper (Table 4)", "AUC, ours", "ACC, paper (Table 4)", "ACC, ours", "beside the number"}, b.table4Rows())
	for _, set := range b.sets {
		if set.absent == "" {
			fmt.Fprintf(&p, "![Table 4 on %s](hu-table4-%s.svg)\n\n", set.name, set.name)
		}
		if len(set.rates[learningRates[0]]) > 0 {
			fmt.Fprintf(&p, "![validation by round on %s](hu-rounds-%s.svg)\n\n", set.name, set.name)
		}
	}
	p.WriteString("## Data and commands\n\n")
	for _, set := range b.sets {
		if set.absent != "" {
			fmt.Fprintf(&p, "- %s: not run: %s\n", set.name, set.absent)
			continue
		}
		fmt.Fprintf(&p, "- %s: SHA-256 %s. A client has %d examples.\n", set.name, set.sha256, set.clients)
	}
	fmt.Fprintf(&p, "\nAll: `make reproduce`. One federated run by itself: `%s`; the command of every run is in [runs.json](runs.json).\n", command("pneumoniamnist", s))
	return p.String()
}

// pair is a row's four numbers.
func pair(paper published, ours []outcome) []string {
	return []string{fmt.Sprintf("%.3f", paper.auc), mean(ours, auc, 1, 3), fmt.Sprintf("%.3f", paper.accuracy), mean(ours, accuracy, 1, 3)}
}

func (b *book) table3Rows() [][]string {
	var rows [][]string
	add := func(set *huSet, name, paper string, ours []outcome, beside string) {
		rows = append(rows, append(append([]string{set.name, name}, pair(table3[paper][set.name], ours)...), beside))
	}
	epochs := b.centralEpochs()
	for _, set := range b.sets {
		if set.absent != "" {
			add(set, "all", "FL-CNN-HMChain", nil, "the data are not on this machine")
			continue
		}
		add(set, "VGG16, frozen", "VGG16", set.vgg16[set.vgg16Origin], cmp.Or(set.vgg16Note, set.vgg16Origin))
		add(set, fmt.Sprintf("CNN, %d epochs", epochs[0]), "CNN", set.central[epochs[0]], "centralised, the federated run's epochs, as the paper says")
		if epochs[1] > epochs[0] {
			add(set, fmt.Sprintf("CNN, %d epochs", epochs[1]), "CNN", set.central[epochs[1]], "centralised; every example is seen as often as in the federated run")
		}
		add(set, "FL-CNN-HMChain", "FL-CNN-HMChain", set.rates[learningRates[0]], "federated")
	}
	return rows
}

func (b *book) table4Rows() [][]string {
	var rows [][]string
	s := b.federated(1)
	for _, set := range b.sets {
		if set.absent != "" {
			continue
		}
		for _, rate := range learningRates {
			rows = append(rows, append(append([]string{set.name, micro(rate), strconv.Itoa(s.BatchSize)}, pair(table4Rates[set.name][rate], set.rates[rate])...), ""))
		}
		for _, size := range slices.Sorted(slices.Values(batchSizes)) {
			beside := ""
			if size > set.clients {
				beside = fmt.Sprintf("a client has %d examples: one batch, as with every size above that", set.clients)
			}
			rows = append(rows, append(append([]string{set.name, micro(s.LearningRate), strconv.Itoa(size)}, pair(table4Batches[set.name][size], set.batches[size])...), beside))
		}
	}
	return rows
}

// salimPage is Table II and Figs. 3 and 4 of Salim & Park.
func (b *book) salimPage() string {
	var p strings.Builder
	p.WriteString("# Salim & Park: Table II, Figs. 3 and 4\n\n")
	x := b.xray
	if x == nil {
		p.WriteString("Not run: there was no folder of X-rays.\n")
		return p.String()
	}
	fmt.Fprintf(&p, "%d X-rays of %d patients to train, %d of %d patients to test (paper's Table I: 152 of 55, 64 of 21). %d hospitals with different patients, %d rounds of one epoch; centralised: %d epochs. A head (dropout, 256, 64, softmax 2) is trained on the features of a frozen backbone, standardised over the training X-rays, by SGD with learning rate %v, momentum %v, batch %d: the paper does not give these.\n\n",
		x.train, x.trainPatients, x.test, x.testPatients, hospitals, x.rounds, x.rounds, xrayRate, xrayMomentum, xrayBatch)
	p.WriteString("**These numbers are no evidence of diagnostic value.** The two classes come from different hospitals, scanners and projections, so that a model can score by telling the source. The paper's images are not known; these are others.\n\n## Table II\n\n")
	var rows [][]string
	for _, name := range []string{model.VGG16, model.ResNet50} {
		paper := table2[name]
		beside := cmp.Or(x.origin[name], "not yet run")
		rows = append(rows, tableIIRow("DL-"+strings.ToUpper(name), paper.federated, x.federated[name], beside), tableIIRow("CL-"+strings.ToUpper(name), paper.centralised, x.centralise[name], beside))
	}
	table(&p, []string{"process", "accuracy, paper (Table II)", "ours", "sensitivity, paper", "ours", "specificity, paper", "ours", "backbone"}, rows)
	p.WriteString("DL is federated, CL centralised. After the last round or epoch; percent, mean ± standard deviation over seeds. The positive class is COVID-19.\n\n## Figs. 3 and 4\n\n")
	for _, name := range x.backbones {
		if len(x.federated[name])+len(x.centralise[name]) == 0 {
			continue
		}
		fmt.Fprintf(&p, "![%s by round](salim-park-%s.svg)\n\n", name, name)
	}
	p.WriteString("Seed 1, on the test split, as in the paper. One choice was made after it had been looked at: in a first run the head on ResNet50's features as they are stayed at an accuracy of 50.0 % through all rounds, and the features have been standardised since.\n\n")
	for _, name := range x.backbones {
		p.WriteString(b.reached(name))
	}
	fmt.Fprintf(&p, "\n## Data and command\n\nX-ray folder: digest %s. Command: `make reproduce` with `%s` naming the folder.\n", x.sha256, xrayVariable)
	return p.String()
}

// reached says in which round the federated model first is as accurate as the
// centralised one at its end (the paper: 38 for VGG16, 74 for ResNet50).
func (b *book) reached(name string) string {
	if len(b.xray.federated[name]) == 0 || len(b.xray.centralise[name]) == 0 {
		return ""
	}
	paper := map[string]int{model.VGG16: 38, model.ResNet50: 74}[name]
	goal := b.xray.centralise[name][0].Test.Accuracy
	for i, m := range b.xray.federated[name][0].Curve {
		if m.Accuracy >= goal {
			return fmt.Sprintf("%s: the federated model first reaches the centralised accuracy (%.1f %%) in round %d (paper: about %d).\n", name, 100*goal, i+1, paper)
		}
	}
	return fmt.Sprintf("%s: in %d rounds the federated model does not reach the centralised accuracy (%.1f %%; paper: reached in round %d).\n", name, b.xray.rounds, 100*goal, paper)
}

func tableIIRow(name string, paper [3]float64, ours []outcome, beside string) []string {
	row := []string{name}
	for i, measure := range []func(metrics.Result) float64{accuracy, sensitivity, specificity} {
		row = append(row, fmt.Sprintf("%.2f", paper[i]), mean(ours, measure, 100, 2))
	}
	return append(row, beside)
}

// plots draws every figure into files.
func (b *book) plots(files map[string][]byte) error {
	var err error
	draw := func(name, title, x, y string, lines []simulate.Line, arrange func(*plot.Plot)) {
		drawn := false
		for _, l := range lines {
			drawn = drawn || len(l.Points) > 0
		}
		if err == nil && drawn {
			files[name], err = simulate.Plot(title, x, y, lines, arrange)
		}
	}
	for _, set := range b.sets {
		if set.absent != "" {
			continue
		}
		draw("hu-table4-"+set.name+".svg", "Hu et al., Table 4: "+set.name, "learning rate", "on the test split", rateLines(set), func(p *plot.Plot) {
			p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		})
		draw("hu-rounds-"+set.name+".svg", set.name+", federated, learning rate 0.1, batch 128, seed 1", "round", "on the validation split", curveLines(set.rates[learningRates[0]], "", false), nil)
	}
	if b.xray != nil {
		for i, name := range b.xray.backbones {
			lines := append(curveLines(b.xray.federated[name], "federated ", false)[1:], curveLines(b.xray.centralise[name], "centralised ", true)[1:]...)
			figure := map[string]string{model.VGG16: "Fig. 3", model.ResNet50: "Fig. 4"}[b.xray.backbones[i]]
			draw("salim-park-"+name+".svg", fmt.Sprintf("Salim & Park, %s: %s, %s", figure, name, b.xray.origin[name]), "round or epoch", "on the test split", lines, nil)
		}
	}
	return err
}

// rateLines are ours and the paper's numbers by learning rate.
func rateLines(set *huSet) []simulate.Line {
	lines := []simulate.Line{{Name: "AUC, ours"}, {Name: "accuracy, ours"}, {Name: "AUC, paper", Dashed: true}, {Name: "accuracy, paper", Dashed: true}}
	for _, rate := range learningRates {
		x := float64(rate) / float64(fl.One)
		if ours := set.rates[rate]; len(ours) > 0 {
			for i, measure := range []func(metrics.Result) float64{auc, accuracy} {
				var values []float64
				for _, o := range ours {
					values = append(values, measure(o.Test))
				}
				y, _ := statistics(values)
				lines[i].Points = append(lines[i].Points, plotter.XY{X: x, Y: y})
			}
		}
		paper := table4Rates[set.name][rate]
		lines[2].Points = append(lines[2].Points, plotter.XY{X: x, Y: paper.auc})
		lines[3].Points = append(lines[3].Points, plotter.XY{X: x, Y: paper.accuracy})
	}
	return lines
}

// curveLines are AUC, accuracy, sensitivity and specificity of the first seed by
// round.
func curveLines(outcomes []outcome, prefix string, dashed bool) []simulate.Line {
	lines := []simulate.Line{{Name: prefix + "AUC", Dashed: dashed}, {Name: prefix + "accuracy", Dashed: dashed}, {Name: prefix + "sensitivity", Dashed: dashed}, {Name: prefix + "specificity", Dashed: dashed}}
	if len(outcomes) == 0 {
		return lines
	}
	for i, m := range outcomes[0].Curve {
		for j, measure := range []func(metrics.Result) float64{auc, accuracy, sensitivity, specificity} {
			lines[j].Points = append(lines[j].Points, plotter.XY{X: float64(i + 1), Y: measure(m)})
		}
	}
	return lines
}
