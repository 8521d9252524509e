package main

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/metrics"
)

// write writes all pages and plots from what is finished so far.
func (b *book) write() error {
	lines, err := b.finished()
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	if files["runs.json"], err = runsFile(lines); err != nil {
		return err
	}
	if err := b.plots(files); err != nil {
		return err
	}
	for name, page := range map[string]string{"README.md": b.indexPage(lines), "hu.md": b.huPage(), "salim-park.md": b.salimPage(), "frozen-heads.md": b.headsPage()} {
		files[name] = []byte(page)
	}
	for name, content := range files {
		if err := simulate.WriteFile(filepath.Join(b.options.out, name), content); err != nil {
			return err
		}
	}
	return nil
}

// indexPage says what there is and where it comes from.
func (b *book) indexPage(lines []runLine) string {
	var p strings.Builder
	p.WriteString("# Results\n\nThe experiments of the two papers, run by `make reproduce`")
	if b.options.quick {
		p.WriteString(" with `QUICK=1`: " + quickNote)
	}
	p.WriteString(".\n\n- [Hu et al., FL-HMChain: Tables 3 and 4, and the paper's setting over several seeds](hu.md)\n- [Salim & Park: Table II, Figs. 3 and 4](salim-park.md)\n- [Heads behind frozen backbones, before and after their normalisation was in the weights](frozen-heads.md)\n")
	p.WriteString("- [runs.json](runs.json): every run, one a line, with its settings, data checksum, seed, result, confusion matrix, curve by round, digest of the final model, command, commit, date and seconds\n\n")
	seconds, commits := 0.0, map[string]bool{}
	for _, line := range lines {
		seconds += float64(line.Seconds)
		commits[line.Commit] = true
	}
	fmt.Fprintf(&p, "%d of %d runs are finished", len(lines), len(b.cells))
	if len(lines) > 0 {
		fmt.Fprintf(&p, ", of commit %s, in %s", strings.Join(slices.Sorted(maps.Keys(commits)), ", "), duration(seconds))
	}
	fmt.Fprintf(&p, ". Written %s on %d cores, %s/%s, %s.\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	p.WriteString("\nWhat a table calls \"not yet run\" was not finished then: the same command goes on with it, and with `-plan` it says what is left and how long that is thought to take.\n")
	for _, note := range b.notes {
		fmt.Fprintf(&p, "\n%s.\n", note)
	}
	return p.String()
}

// quickNote is on every page of a quick run.
const quickNote = "**a few rounds on little data, to show that everything runs. The numbers mean nothing.**"

// heading begins a page.
func (b *book) heading(p *strings.Builder, title string) {
	p.WriteString("# " + title + "\n\n")
	if b.options.quick {
		p.WriteString("`QUICK=1`: " + quickNote + "\n\n")
	}
}

// seedsOf is a number of seeds in words.
func seedsOf(n int) string {
	if n == 1 {
		return "1 seed"
	}
	return strconv.Itoa(n) + " seeds"
}

// outcomes are those of the finished runs of a setting, in the order of its seeds.
func (b *book) outcomes(seeds int, setting func(seed int64) cell) []outcome {
	var all []outcome
	for seed := int64(1); seed <= int64(seeds); seed++ {
		// What can't be read has been refused when the plan was made.
		if kept, err := b.store.find(setting(seed).key); err == nil && kept != nil {
			o := kept.Outcome
			o.seed = seed
			all = append(all, o)
		}
	}
	return all
}

// Measures of an outcome.
func auc(m metrics.Result) float64         { return m.AUC }
func accuracy(m metrics.Result) float64    { return m.Accuracy }
func sensitivity(m metrics.Result) float64 { return m.Sensitivity }
func specificity(m metrics.Result) float64 { return m.Specificity }

// values are what the final models measure.
func values(outcomes []outcome, measure func(metrics.Result) float64) []float64 {
	var all []float64
	for _, o := range outcomes {
		all = append(all, measure(o.Test))
	}
	return all
}

// notRun is in a cell whose runs are not finished.
const notRun = "not yet run"

// mean is the mean of the final models, times scale, with its spread and the number
// of seeds.
func mean(outcomes []outcome, measure func(metrics.Result) float64, scale float64, digits int) string {
	if len(outcomes) == 0 {
		return notRun
	}
	m, sd := statistics(values(outcomes, measure))
	if len(outcomes) == 1 {
		return fmt.Sprintf("%.*f (1 seed)", digits, scale*m)
	}
	return fmt.Sprintf("%.*f ± %.*f (%d)", digits, scale*m, digits, scale*sd, len(outcomes))
}

// span is the least and the greatest of the final models' values.
func span(outcomes []outcome, measure func(metrics.Result) float64) string {
	if len(outcomes) == 0 {
		return ""
	}
	all := values(outcomes, measure)
	return fmt.Sprintf("%.3f to %.3f", slices.Min(all), slices.Max(all))
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

// table writes a Markdown table.
func table(p *strings.Builder, columns []string, rows [][]string) {
	fmt.Fprintf(p, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(p, "| %s |\n", strings.Join(row, " | "))
	}
	p.WriteString("\n")
}
