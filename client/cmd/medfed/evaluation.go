package main

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/client/simulate"
	"github.com/medfed/medfed/trainer/metrics"
)

// checkPlot refuses the name of a plot that is of no kind that is drawn.
func checkPlot(path string) error {
	if extension := filepath.Ext(path); path != "" && extension != ".svg" && extension != ".html" {
		return usage("--plot names %q, which is neither an .svg nor an .html file; name one", path)
	}
	return nil
}

// writePlot draws the curves into a file, if one is named.
func (e evaluation) writePlot(path string) error {
	if path == "" {
		return nil
	}
	content, err := e.svg()
	if err == nil && filepath.Ext(path) == ".html" {
		content, err = e.html(content)
	}
	if err != nil {
		return err
	}
	return simulate.WriteFile(path, content)
}

// mostCurves is how many ROC curves are told apart in a plot.
const mostCurves = 12

// svg draws the ROC curves, and below them the reliability diagram.
func (e evaluation) svg() ([]byte, error) {
	roc := simulate.Panel{Title: "ROC, " + e.title(), X: "false positive rate", Y: "true positive rate", Arrange: unitSquare}
	for _, curve := range e.ROC[:min(len(e.ROC), mostCurves)] {
		line := simulate.Line{Name: fmt.Sprintf("%s, AUC %s", e.Classes[curve.Class], rate(curve.AUC))}
		for _, p := range curve.Points {
			line.Points = append(line.Points, plotter.XY{X: p.FalsePositives, Y: p.TruePositives})
		}
		roc.Lines = append(roc.Lines, line)
	}
	if more := len(e.ROC) - mostCurves; more > 0 {
		roc.Title += fmt.Sprintf(" (%d classes more are not drawn)", more)
	}
	reliability := simulate.Panel{Title: "Reliability, " + e.title(), X: "confidence", Y: "accuracy"}
	reliability.Lines = []simulate.Line{{Name: fmt.Sprintf("calibration error %s", rate(e.Calibration.Error)), Points: diagram(e.Calibration)}}
	if e.Before != nil {
		reliability.Lines = append(reliability.Lines, simulate.Line{Name: fmt.Sprintf("without temperature %s", rate(e.Before.Error)), Points: diagram(*e.Before), Dashed: true})
	}
	reliability.Arrange = func(p *plot.Plot) {
		unitSquare(p)
		for _, l := range reliability.Lines {
			dots, err := plotter.NewScatter(l.Points)
			if err != nil {
				continue // there are none
			}
			dots.GlyphStyle = draw.GlyphStyle{Color: color.Black, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
			p.Add(dots)
		}
	}
	return simulate.Panels(roc, reliability)
}

// diagram is the bins as points.
func diagram(c metrics.Calibration) (points plotter.XYs) {
	for _, b := range c.Bins {
		points = append(points, plotter.XY{X: b.Confidence, Y: b.Accuracy})
	}
	return points
}

// unitSquare has both axes from 0 to 1, and the line on which they are equal.
func unitSquare(p *plot.Plot) {
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	equal := plotter.NewFunction(func(x float64) float64 { return x })
	equal.Color, equal.Dashes = color.Gray{0x80}, []vg.Length{vg.Points(2), vg.Points(2)}
	p.Add(equal)
}

func (e evaluation) title() string {
	of := e.Model
	if e.Task != "" {
		of = fmt.Sprintf("%s, round %d", e.Task, *e.Round)
	}
	data := e.Data
	if e.Synthetic {
		data += " (synthetic data)"
	}
	return fmt.Sprintf("%s on %s, %s split: %s", of, data, e.Split, e.Notice)
}

// page is the HTML around the curves.
const page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>body{font-family:sans-serif;max-width:64em;margin:2em auto;padding:0 1em;overflow-wrap:anywhere}svg{max-width:100%;height:auto}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}</style></head>
<body>
<h1>{{.Title}}</h1>
<p>Model {{.Digest}}. {{.Metrics.NumExamples}} examples, SHA-256 of the data {{.SHA256}}.</p>
<table><tr><th></th><th></th><th>95 % interval</th></tr>
{{range .Rows}}<tr><td>{{.Name}}</td><td>{{.Value}}</td><td>{{.Interval}}</td></tr>
{{end}}</table>
{{.Plot}}
<p><strong>{{.Notice}}</strong></p>
</body></html>
`

// row is a measure with its interval.
type row struct{ Name, Value, Interval string }

func (e evaluation) rows() []row {
	var all metrics.Intervals
	if e.Intervals != nil {
		all = *e.Intervals
	}
	rows := []row{}
	for _, m := range []struct {
		name, value string
		of          *metrics.Interval
	}{
		{"accuracy", rate(e.Metrics.Accuracy), all.Accuracy}, {"AUC", rate(e.Metrics.AUC), all.AUC}, {"sensitivity", rate(e.Metrics.Sensitivity), all.Sensitivity},
		{"specificity", rate(e.Metrics.Specificity), all.Specificity}, {"calibration", "error " + rate(e.Calibration.Error), all.Calibration},
		{"Brier score", rate(e.Calibration.Brier), nil},
	} {
		r := row{m.name, m.value, ""}
		if m.of != nil {
			r.Interval = rate(m.of.Low) + " to " + rate(m.of.High)
		}
		rows = append(rows, r)
	}
	return rows
}

// html is the curves and the measures on one page that needs no other file.
func (e evaluation) html(svg []byte) ([]byte, error) {
	parsed, err := template.New("page").Parse(page)
	var b bytes.Buffer
	if err == nil {
		err = parsed.Execute(&b, struct {
			evaluation
			Title string
			Rows  []row
			Plot  template.HTML
		}{e, e.title(), e.rows(), simulate.Inline(svg)})
	}
	if err != nil {
		return nil, codes.Wrapf("MF-INTERNAL", "the page can't be written: %w; report it", err)
	}
	return b.Bytes(), nil
}
