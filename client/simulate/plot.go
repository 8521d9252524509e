package simulate

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// curve is one line of the plot.
type curve struct {
	name   string
	colour color.RGBA
	value  func(Round) float64
}

func curves() []curve {
	return []curve{
		{"AUC", color.RGBA{0x1f, 0x77, 0xb4, 0xff}, func(r Round) float64 { return r.Metrics.AUC }},
		{"accuracy", color.RGBA{0xd6, 0x27, 0x28, 0xff}, func(r Round) float64 { return r.Metrics.Accuracy }},
		{"sensitivity", color.RGBA{0x2c, 0xa0, 0x2c, 0xff}, func(r Round) float64 { return r.Metrics.Sensitivity }},
		{"specificity", color.RGBA{0x94, 0x67, 0xbd, 0xff}, func(r Round) float64 { return r.Metrics.Specificity }},
	}
}

// SVG plots what the curve's split measured of every global model, by round, as
// an SVG document.
func (r *Report) SVG() ([]byte, error) {
	p := plot.New()
	p.Title.Text = r.title()
	p.X.Label.Text, p.Y.Label.Text = "round", "on the "+r.Settings.Curve+" split"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(max(1, len(r.Rounds))), 0, 1
	p.Add(plotter.NewGrid())
	for _, c := range curves() {
		var points plotter.XYs
		for _, round := range r.Rounds {
			if round.Metrics != nil {
				points = append(points, plotter.XY{X: float64(round.Round.Number), Y: c.value(round)})
			}
		}
		if len(points) == 0 {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, notPlotted(err)
		}
		line.Color, line.Width = c.colour, vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(c.name, line)
	}
	var b bytes.Buffer
	drawn, err := p.WriterTo(20*vg.Centimeter, 12*vg.Centimeter, "svg")
	if err == nil {
		_, err = drawn.WriteTo(&b)
	}
	if err != nil {
		return nil, notPlotted(err)
	}
	return b.Bytes(), nil
}

func notPlotted(err error) error {
	return codes.Errorf("MF-SIMULATE-WRITE", "the plot can't be drawn: %v; report it", err)
}

func (r *Report) title() string {
	data := r.Data
	if r.Synthetic {
		data += " (synthetic data)"
	}
	return fmt.Sprintf("%s, %s: %d clients, %s, seed %d", data, r.Settings.Strategy, r.Settings.Clients, r.Settings.Split, r.Settings.Seed)
}

// page is the HTML around a plot.
const page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font-family:sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ccc}</style></head>
<body>
<h1>{{.Title}}</h1>
{{if .Test}}<p>Test split: AUC {{.AUC}}, accuracy {{.Accuracy}}. Task {{.Phase}}.</p>{{end}}
{{.Plot}}
<table><tr>{{range .Columns}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table>
</body></html>
`

// HTML is the plot and the table of rounds on one page that needs no other file.
func (r *Report) HTML() ([]byte, error) {
	svg, err := r.SVG()
	if err != nil {
		return nil, err
	}
	if i := bytes.Index(svg, []byte("<svg")); i > 0 {
		svg = svg[i:] // an SVG document's preamble has no place in HTML
	}
	content := struct {
		Title, AUC, Accuracy string
		Test                 bool
		Phase                fl.TaskPhase
		Plot                 template.HTML
		Columns              []string
		Rows                 [][]string
	}{Title: r.title(), Test: r.Test != nil, Phase: r.Phase, Plot: template.HTML(svg), Columns: columns()[:12]}
	if r.Test != nil {
		content.AUC, content.Accuracy = strconv.FormatFloat(r.Test.AUC, 'f', 4, 64), strconv.FormatFloat(r.Test.Accuracy, 'f', 4, 64)
	}
	for _, round := range r.Rounds {
		content.Rows = append(content.Rows, r.row(round)[:12])
	}
	parsed, err := template.New("page").Parse(page)
	var b bytes.Buffer
	if err == nil {
		err = parsed.Execute(&b, content)
	}
	if err != nil {
		return nil, notPlotted(err)
	}
	return b.Bytes(), nil
}
