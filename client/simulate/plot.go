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
	"gonum.org/v1/plot/vg/draw"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// curve is one line of the plot.
type curve struct {
	name  string
	value func(Round) float64
}

func curves() []curve {
	return []curve{
		{"AUC", func(r Round) float64 { return r.Metrics.AUC }},
		{"accuracy", func(r Round) float64 { return r.Metrics.Accuracy }},
		{"sensitivity", func(r Round) float64 { return r.Metrics.Sensitivity }},
		{"specificity", func(r Round) float64 { return r.Metrics.Specificity }},
	}
}

// Line is one line of a plot. The first dashed line has the colour of the first solid
// one, and so on.
type Line struct {
	Name   string
	Points plotter.XYs
	Dashed bool
}

// colours are those of the lines of a plot, in their order.
var colours = []color.RGBA{
	{0x1f, 0x77, 0xb4, 0xff}, {0xd6, 0x27, 0x28, 0xff}, {0x2c, 0xa0, 0x2c, 0xff}, {0x94, 0x67, 0xbd, 0xff}, {0xff, 0x7f, 0x0e, 0xff}, {0x8c, 0x56, 0x4b, 0xff},
}

// Of a plot: its size with the legend, the legend's width, and the margin around.
const (
	plotWidth   = 26.5 * vg.Centimeter
	plotHeight  = 12 * vg.Centimeter
	legendWidth = 6.5 * vg.Centimeter
	plotMargin  = 0.3 * vg.Centimeter
)

// Panel is a plot of lines of values from 0 to 1, the legend at their right. Lines without
// points are left out.
type Panel struct {
	Title, X, Y string
	Lines       []Line
	Arrange     func(*plot.Plot) // if not nil, may change the axes and add to the plot
}

// Plot draws one panel as an SVG document.
func Plot(title, x, y string, lines []Line, arrange func(*plot.Plot)) ([]byte, error) {
	return Panels(Panel{title, x, y, lines, arrange})
}

// Panels draws panels as an SVG document, one below the other.
func Panels(panels ...Panel) ([]byte, error) {
	plots := make([]*plot.Plot, len(panels))
	for i, panel := range panels {
		var err error
		if plots[i], err = panel.plot(); err != nil {
			return nil, err
		}
	}
	return svg(plots)
}

func (panel Panel) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = panel.Title, panel.X, panel.Y
	p.Y.Min, p.Y.Max = 0, 1
	p.Add(plotter.NewGrid())
	solid, dashed := 0, 0
	for _, l := range panel.Lines {
		i := solid
		if l.Dashed {
			i, dashed = dashed, dashed+1
		} else {
			solid++
		}
		if len(l.Points) == 0 {
			continue
		}
		line, err := plotter.NewLine(l.Points)
		if err != nil {
			return nil, notPlotted(err)
		}
		line.Color, line.Width = colours[i%len(colours)], vg.Points(1.5)
		if l.Dashed {
			line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		p.Add(line)
		p.Legend.Add(l.Name, line)
	}
	if panel.Arrange != nil {
		panel.Arrange(p)
	}
	return p, nil
}

// svg draws plots from top to bottom, each with its legend beside it.
func svg(plots []*plot.Plot) ([]byte, error) {
	n := vg.Length(len(plots))
	canvas, err := draw.NewFormattedCanvas(plotWidth, n*plotHeight, "svg")
	if err != nil {
		return nil, notPlotted(err)
	}
	whole := draw.New(canvas)
	whole.FillPolygon(color.White, []vg.Point{whole.Min, {X: whole.Max.X, Y: whole.Min.Y}, whole.Max, {X: whole.Min.X, Y: whole.Max.Y}})
	for i, p := range plots {
		below := n - 1 - vg.Length(i)
		area := draw.Crop(whole, plotMargin, -legendWidth, plotMargin+below*plotHeight, -plotMargin-vg.Length(i)*plotHeight)
		inside := p.DataCanvas(area)
		p.Legend.Padding = vg.Points(3)
		p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, inside.Max.X-inside.Min.X+plotMargin
		p.Draw(area)
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, notPlotted(err)
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Serif;"), []byte(fonts)), nil
}

// fonts are as wide as the one that the plot was laid out for, where one of them is
// installed.
const fonts = "font-family:'Liberation Serif','Times New Roman',Times,serif;"

// SVG plots what the curve's split measured of every global model, by round, as
// an SVG document.
func (r *Report) SVG() ([]byte, error) {
	var lines []Line
	for _, c := range curves() {
		line := Line{Name: c.name}
		for _, round := range r.Rounds {
			if round.Metrics != nil {
				line.Points = append(line.Points, plotter.XY{X: float64(round.Round.Number), Y: c.value(round)})
			}
		}
		lines = append(lines, line)
	}
	return Plot(r.title(), "round", "on the "+r.Settings.Curve+" split", lines, func(p *plot.Plot) {
		p.X.Min, p.X.Max = 0, float64(max(1, len(r.Rounds)))
	})
}

func notPlotted(err error) error {
	return codes.Wrapf("MF-SIMULATE-WRITE", "the plot can't be drawn: %w; report it", err)
}

func (r *Report) title() string {
	data := r.Data
	if r.Synthetic {
		data += " (synthetic data)"
	}
	if r.Settings.Backbone.Random {
		data += fmt.Sprintf(" (%s by a random backbone, seed %d)", r.Settings.Model, r.Settings.Backbone.Seed)
	}
	return fmt.Sprintf("%s, %s: %d clients, %s, seed %d", data, r.Settings.Strategy, r.Settings.Clients, r.Settings.Split, r.Settings.Seed)
}

// Inline is an SVG document as a part of an HTML page, where its preamble has no place.
func Inline(svg []byte) template.HTML {
	return template.HTML(svg[max(0, bytes.Index(svg, []byte("<svg"))):])
}

// page is the HTML around a plot.
const page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;overflow-wrap:anywhere}svg{max-width:100%;height:auto}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ccc}</style></head>
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
	content := struct {
		Title, AUC, Accuracy string
		Test                 bool
		Phase                fl.TaskPhase
		Plot                 template.HTML
		Columns              []string
		Rows                 [][]string
	}{Title: r.title(), Test: r.Test != nil, Phase: r.Phase, Plot: Inline(svg), Columns: r.columns()[:12]}
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
