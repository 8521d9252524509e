package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/metrics"
)

// plots draws every figure of which there is a number of ours into files, and
// remembers which there are.
func (b *book) plots(files map[string][]byte) error {
	b.drawn = map[string]bool{}
	for _, set := range b.sets {
		if set.data == nil {
			continue
		}
		if err := b.huPlots(set, files); err != nil {
			return err
		}
	}
	if b.xray == nil {
		return nil
	}
	for i, name := range figures {
		lines := append(curveLines(b.headOutcomes(name, true), "federated ", false), curveLines(b.headOutcomes(name, false), "centralised ", true)...)
		title := fmt.Sprintf("Salim & Park, Fig. %d: %s, %s", 3+i, name, b.xray.backbones[name].Origin)
		if err := b.draw(files, "salim-park-"+name+".svg", title, "round of federated, epoch of centralised training", "rate on the test split, seed 1", lines, nil); err != nil {
			return err
		}
	}
	return nil
}

// draw draws lines, unless there is no point. The values begin at the tenth below the
// least.
func (b *book) draw(files map[string][]byte, name, title, x, y string, lines []simulate.Line, arrange func(*plot.Plot)) error {
	least, drawn := 1.0, false
	for _, line := range lines {
		for _, point := range line.Points {
			least, drawn = min(least, point.Y), true
		}
	}
	if !drawn {
		return nil
	}
	picture, err := simulate.Plot(title, x, y, lines, func(p *plot.Plot) {
		p.Y.Min = min(0.9, math.Floor(10*least)/10)
		if arrange != nil {
			arrange(p)
		}
	})
	files[name], b.drawn[name] = picture, err == nil
	return err
}

// huPlots draws the figures of one set.
func (b *book) huPlots(set *huSet, files map[string][]byte) error {
	if err := b.draw3(set, files); err != nil {
		return err
	}
	if err := b.drawRounds(set, files); err != nil {
		return err
	}
	rates, sizes := choices{what: "learning rate"}, choices{what: "batch size"}
	for _, rate := range learningRates {
		rates.add(rate.String(), b.rateOutcomes(set, rate), table4Rates[set.name][rate])
	}
	for _, size := range slices.Sorted(slices.Values(batchSizes)) {
		sizes.add(strconv.Itoa(size), b.batchOutcomes(set, size), table4Batches[set.name][size])
	}
	title := "Hu et al., Table 4, on " + set.name
	if err := b.drawChoices(files, "hu-table4-rates-"+set.name+".svg", title+": batch 128", rates); err != nil {
		return err
	}
	return b.drawChoices(files, "hu-table4-batches-"+set.name+".svg", title+": learning rate 0.1", sizes)
}

// choices are the values of a setting that is varied, and what came of each.
type choices struct {
	what   string
	names  []string
	ours   [][]outcome
	papers []published
}

func (c *choices) add(name string, ours []outcome, paper published) {
	c.names, c.ours, c.papers = append(c.names, name), append(c.ours, ours), append(c.papers, paper)
}

// finished reports whether there is a number of ours.
func (c *choices) finished() bool {
	return slices.ContainsFunc(c.ours, func(o []outcome) bool { return len(o) > 0 })
}

// ticks names the places 0, 1, 2 and so on after the choices.
func (c *choices) ticks(p *plot.Plot) {
	var ticks plot.ConstantTicks
	for i, name := range c.names {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: name})
	}
	p.X.Tick.Marker, p.X.Min, p.X.Max = ticks, -0.5, float64(len(c.names))-0.5
}

// drawChoices draws ours and the paper's numbers by choice.
func (b *book) drawChoices(files map[string][]byte, name, title string, c choices) error {
	if !c.finished() {
		return nil
	}
	lines := []simulate.Line{{Name: "AUC, ours"}, {Name: "accuracy, ours"}, {Name: "AUC, paper", Dashed: true}, {Name: "accuracy, paper", Dashed: true}}
	for i, paper := range c.papers {
		x := float64(i)
		if ours := c.ours[i]; len(ours) > 0 {
			for j, measure := range []func(metrics.Result) float64{auc, accuracy} {
				y, _ := statistics(values(ours, measure))
				lines[j].Points = append(lines[j].Points, plotter.XY{X: x, Y: y})
			}
		}
		lines[2].Points = append(lines[2].Points, plotter.XY{X: x, Y: paper.auc})
		lines[3].Points = append(lines[3].Points, plotter.XY{X: x, Y: paper.accuracy})
	}
	return b.draw(files, name, title, c.what, "AUC and accuracy on the test split", lines, c.ticks)
}

// draw3 draws Table 3 as the paper's Fig. 5 does: bars by model.
func (b *book) draw3(set *huSet, files map[string][]byte) error {
	c := choices{what: "model"}
	if set.backbone != nil {
		c.add("VGG16, frozen", b.headsOf(set), table3["VGG16"][set.name])
	}
	for _, n := range slices.Compact(b.centralEpochs()) {
		c.add(fmt.Sprintf("CNN, %d epochs", n), b.outcomes(b.options.seeds, func(seed int64) cell { return b.centralCell(set, n, seed) }), table3["CNN"][set.name])
	}
	c.add("FL-CNN-HMChain", b.outcomes(b.options.paperSeeds, func(seed int64) cell { return b.paperCell(set, seed) }), table3["FL-CNN-HMChain"][set.name])
	if !c.finished() {
		return nil
	}
	name := "hu-table3-" + set.name + ".svg"
	var failed error
	drawn, err := simulate.Plot("Hu et al., Table 3 and Fig. 5, on "+set.name, "", "AUC and accuracy on the test split", nil, func(p *plot.Plot) {
		failed = c.bars(p)
	})
	if err == nil {
		err = failed
	}
	files[name], b.drawn[name] = drawn, err == nil
	return err
}

// bars draws four bars a choice: AUC and accuracy, the paper's and ours.
func (c *choices) bars(p *plot.Plot) error {
	const width = 0.7 * vg.Centimeter
	bars := []struct {
		name   string
		colour color.RGBA
		value  func(i int) float64
	}{
		{"AUC, paper", color.RGBA{0xae, 0xc7, 0xe8, 0xff}, func(i int) float64 { return c.papers[i].auc }},
		{"AUC, ours", color.RGBA{0x1f, 0x77, 0xb4, 0xff}, func(i int) float64 { m, _ := statistics(values(c.ours[i], auc)); return m }},
		{"accuracy, paper", color.RGBA{0xff, 0x98, 0x96, 0xff}, func(i int) float64 { return c.papers[i].accuracy }},
		{"accuracy, ours", color.RGBA{0xd6, 0x27, 0x28, 0xff}, func(i int) float64 { m, _ := statistics(values(c.ours[i], accuracy)); return m }},
	}
	for i, bar := range bars {
		var heights plotter.Values
		for j := range c.names {
			heights = append(heights, bar.value(j))
		}
		chart, err := plotter.NewBarChart(heights, width)
		if err != nil {
			return err
		}
		chart.Color, chart.Offset, chart.LineStyle.Width = bar.colour, vg.Length(float64(i)-1.5)*width, 0
		p.Add(chart)
		p.Legend.Add(bar.name, chart)
	}
	c.ticks(p)
	return nil
}

// drawRounds draws the paper's setting by round, the mean over the seeds.
func (b *book) drawRounds(set *huSet, files map[string][]byte) error {
	plain := b.outcomes(b.options.paperSeeds, func(seed int64) cell { return b.paperCell(set, seed) })
	lines := []simulate.Line{{Name: "AUC", Points: meanCurve(plain, auc)}, {Name: "accuracy", Points: meanCurve(plain, accuracy)}}
	title := fmt.Sprintf("The paper's setting on %s: mean of %s", set.name, seedsOf(len(plain)))
	if additions[set.name] != nil {
		more := b.outcomes(b.options.paperSeeds, func(seed int64) cell { return b.additionsCell(set, seed) })
		if len(more) > 0 {
			lines = append(lines, simulate.Line{Name: "AUC, with additions", Points: meanCurve(more, auc), Dashed: true}, simulate.Line{Name: "accuracy, with additions", Points: meanCurve(more, accuracy), Dashed: true})
			title += ", with additions of " + seedsOf(len(more))
		}
	}
	return b.draw(files, "hu-rounds-"+set.name+".svg", title, "round", "AUC and accuracy on the validation split", lines, nil)
}

// meanCurve is the mean by round, over the runs that closed so many.
func meanCurve(outcomes []outcome, measure func(metrics.Result) float64) plotter.XYs {
	var points plotter.XYs
	for i := 0; ; i++ {
		var there []float64
		for _, o := range outcomes {
			if i < len(o.Curve) {
				there = append(there, measure(o.Curve[i]))
			}
		}
		if there == nil {
			return points
		}
		y, _ := statistics(there)
		points = append(points, plotter.XY{X: float64(i + 1), Y: y})
	}
}

// curveLines are accuracy, sensitivity and specificity of the first finished seed by
// round.
func curveLines(outcomes []outcome, prefix string, dashed bool) []simulate.Line {
	lines := []simulate.Line{{Name: prefix + "accuracy", Dashed: dashed}, {Name: prefix + "sensitivity", Dashed: dashed}, {Name: prefix + "specificity", Dashed: dashed}}
	if len(outcomes) == 0 {
		return lines
	}
	for i, m := range outcomes[0].Curve {
		for j, measure := range []func(metrics.Result) float64{accuracy, sensitivity, specificity} {
			lines[j].Points = append(lines[j].Points, plotter.XY{X: float64(i + 1), Y: measure(m)})
		}
	}
	return lines
}
