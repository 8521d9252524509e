package report

import (
	"fmt"
	"math"
	"strings"
)

// chart is a line chart of the global model's metrics by round, laid out in the
// units of its viewBox. The page draws it as SVG in its own colours, so that it
// follows the reader's light or dark theme.
type chart struct {
	Width, Height            float64
	Left, Right, Top, Bottom float64 // edges of the plotting area
	Y, X                     []tick
	Lines                    []plotted
}

// tick is a labelled position on an axis.
type tick struct {
	At     float64
	Label  string
	Failed bool
}

// plotted is one metric: the path of its line, its dots, and its name at the end.
type plotted struct {
	Class, Name    string
	Path           string
	Dots           []dot
	LabelX, LabelY float64
	Last           string // the newest value
}

type dot struct {
	X, Y  float64
	Title string
}

func newChart(rounds []Round) chart {
	c := chart{Width: 540, Height: 300, Left: 46, Right: 436, Top: 16, Bottom: 262}
	low, high := metricRange(rounds)
	y := func(v float64) float64 { return c.Bottom - (v-low)/(high-low)*(c.Bottom-c.Top) }
	x := func(i int) float64 {
		if len(rounds) == 1 {
			return (c.Left + c.Right) / 2
		}
		return c.Left + 12 + float64(i)/float64(len(rounds)-1)*(c.Right-c.Left-24)
	}
	for v := low; v <= high+1e-9; v += step(low, high) {
		c.Y = append(c.Y, tick{At: y(v), Label: fmt.Sprintf("%.2f", v)})
	}
	every := 1 + (len(rounds)-1)/16
	for i, r := range rounds {
		if i%every == 0 || i == len(rounds)-1 && i%every > every/2 {
			c.X = append(c.X, tick{At: x(i), Label: fmt.Sprint(r.Round), Failed: r.Phase == PhaseFailed})
		}
	}
	c.Lines = []plotted{
		plot("auc", "AUC", rounds, x, y, func(g *Global) float64 { return g.AUC }),
		plot("accuracy", "accuracy", rounds, x, y, func(g *Global) float64 { return g.Accuracy }),
	}
	c.separateLabels()
	return c
}

func plot(class, name string, rounds []Round, x func(int) float64, y func(float64) float64, metric func(*Global) float64) plotted {
	p := plotted{Class: class, Name: name}
	var path strings.Builder
	for i, r := range rounds {
		if r.Global == nil {
			continue
		}
		v := metric(r.Global)
		command := "L"
		if path.Len() == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, x(i), y(v))
		p.Dots = append(p.Dots, dot{X: x(i), Y: y(v), Title: fmt.Sprintf("round %d: %s %s", r.Round, name, rate(v))})
		p.LabelX, p.LabelY, p.Last = x(i)+12, y(v)+4, rate(v)
	}
	p.Path = path.String()
	return p
}

// separateLabels moves the names at the lines' ends apart when they would
// overlap.
func (c *chart) separateLabels() {
	const apart = 34
	a, b := &c.Lines[0], &c.Lines[1]
	if gap := math.Abs(a.LabelY - b.LabelY); gap < apart {
		shift := (apart - gap) / 2
		if a.LabelY <= b.LabelY {
			a.LabelY, b.LabelY = a.LabelY-shift, b.LabelY+shift
		} else {
			a.LabelY, b.LabelY = a.LabelY+shift, b.LabelY-shift
		}
	}
}

// metricRange gives the ends of the vertical axis: the metrics' own range, rounded
// outward to whole steps, never wider than 0 to 1.
func metricRange(rounds []Round) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, r := range rounds {
		if r.Global != nil {
			low = min(low, r.Global.Accuracy, r.Global.AUC)
			high = max(high, r.Global.Accuracy, r.Global.AUC)
		}
	}
	if low > high {
		return 0, 1
	}
	const unit = 0.05
	low, high = math.Floor(low/unit-1e-9)*unit, math.Ceil(high/unit+1e-9)*unit
	return max(0, low), min(1, max(high, low+unit))
}

// step is the distance between two labels of the vertical axis, such that there
// are three to eight of them.
func step(low, high float64) float64 {
	for _, s := range []float64{0.01, 0.02, 0.05, 0.1, 0.2} {
		if (high-low)/s <= 7.001 {
			return s
		}
	}
	return 0.5
}
