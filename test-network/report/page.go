package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"sort"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"rate":   rate,
	"scored": scored,
	"join":   strings.Join,
	"rounds": roundsInWords,
	"short":  short,
	"or":     orUnknown,
}).Parse(pageText))

// WriteHTML writes the report as one page to path, whole or not at all. The page
// holds its own style and plots, and its content policy forbids it to fetch
// anything.
func WriteHTML(path string, r Report) error {
	var b bytes.Buffer
	if err := page.Execute(&b, newView(r)); err != nil {
		return codes.Wrapf("MF-REPORT-PAGE", "%w; report.json still holds every figure", err)
	}
	return writeWhole(path, b.Bytes())
}

// view is what the page's template shows: the report, with everything that needs
// arithmetic already worked out.
type view struct {
	Report
	Title    string
	Subtitle string
	Tiles    []tile
	Chart    chart
	Bars     []bar
	Matrix   []matrixRow
	Rows     []roundRow
	Local    []LocalResult
	LocalOf  int // round that Local was measured in
}

// tile is one headline figure.
type tile struct{ Value, Unit, Label, Note string }

// bar is the time of one round, as shares that grow with seconds.
type bar struct {
	Round    int
	Failed   bool
	Total    float64
	Segments []segment
	Rest     float64 // of the longest round's seconds, left blank
}

type segment struct {
	Class, Label string
	Seconds      float64
}

// matrixRow is what one node did in every round.
type matrixRow struct {
	Org, Name string
	Poisoned  bool
	Cells     []cell
}

// cell is a node's part in a round: its state names the style, Heat the strength
// of the colour in per cent.
type cell struct {
	State, Text, Hint string
	Heat              int
}

type roundRow struct {
	Round
	Accepted string
}

func newView(r Report) view {
	v := view{Report: r, Chart: newChart(r.Rounds), Bars: newBars(r.Rounds), Matrix: newMatrix(r)}
	v.Title = fmt.Sprintf("%s in %s", r.Data.Name, counted(len(r.Rounds), "round"))
	v.Subtitle = fmt.Sprintf("One model, trained by %s of %s without an image leaving its hospital, refereed by chaincode.",
		counted(len(r.Nodes()), "node"), counted(len(organisations(r.Nodes())), "organisation"))
	v.Tiles = newTiles(r)
	for _, round := range r.Rounds {
		v.Rows = append(v.Rows, roundRow{Round: round, Accepted: acceptedOf(round)})
	}
	if last := r.Last(); last != nil {
		v.Local, v.LocalOf = last.Hospitals, last.Round
	}
	return v
}

func newTiles(r Report) []tile {
	var tiles []tile
	if last := r.Last(); last != nil {
		note := fmt.Sprintf("test split, round %d", last.Round)
		tiles = append(tiles,
			tile{Value: rate(last.Global.Accuracy), Label: "accuracy", Note: note},
			tile{Value: rate(last.Global.AUC), Label: "AUC", Note: note})
	}
	closed := 0
	for _, round := range r.Rounds {
		if round.Phase == PhaseClosed {
			closed++
		}
	}
	tiles = append(tiles, tile{Value: fmt.Sprint(closed), Label: "rounds closed", Note: failedInWords(len(r.Rounds) - closed)})
	if r.Poisoned.Node != "" {
		tiles = append(tiles, tile{Value: fmt.Sprint(len(r.Poisoned.RejectedRounds)), Label: "poisoned updates rejected",
			Note: "in " + roundsInWords(r.Poisoned.RejectedRounds)})
	}
	if len(r.Rounds) > 0 {
		tiles = append(tiles, tile{Value: fmt.Sprintf("%.1f", medianOverhead(r.Rounds)), Unit: "s",
			Label: "neither training nor scoring", Note: "a round, median"})
	}
	return tiles
}

func failedInWords(n int) string {
	if n == 0 {
		return "none failed"
	}
	return counted(n, "round") + " failed, redrawn"
}

func medianOverhead(rounds []Round) float64 {
	seconds := make([]float64, len(rounds))
	for i, r := range rounds {
		seconds[i] = r.Seconds.Overhead()
	}
	sort.Float64s(seconds)
	if n := len(seconds); n%2 == 0 {
		return (seconds[n/2-1] + seconds[n/2]) / 2
	}
	return seconds[len(seconds)/2]
}

func newBars(rounds []Round) []bar {
	longest := 0.0
	for _, r := range rounds {
		longest = max(longest, r.Seconds.Total, parts(r.Seconds))
	}
	bars := make([]bar, len(rounds))
	for i, r := range rounds {
		s := r.Seconds
		bars[i] = bar{Round: r.Round, Failed: r.Phase == PhaseFailed, Total: s.Total,
			Rest: longest - max(s.Total, parts(s)),
			Segments: []segment{
				{"training", "training", s.Training}, {"scoring", "scoring", s.Scoring},
				{"ipfs", "IPFS", s.IPFS}, {"ledger", "ledger", s.Ledger}, {"other", "other", s.Other()},
			}}
	}
	return bars
}

func parts(s Seconds) float64 { return s.Training + s.Scoring + s.Ledger + s.IPFS }

func newMatrix(r Report) []matrixRow {
	low, high := medianRange(r.Rounds)
	rows := []matrixRow{}
	for _, id := range r.Nodes() {
		org, name, _ := strings.Cut(id, "/")
		row := matrixRow{Org: org, Name: name, Poisoned: id == r.Poisoned.Node}
		for _, round := range r.Rounds {
			row.Cells = append(row.Cells, newCell(round, id, low, high))
		}
		rows = append(rows, row)
	}
	return rows
}

func newCell(r Round, id string, low, high fl.Micro) cell {
	for _, u := range r.Updates {
		if u.Node == id {
			return updateCell(r, u, low, high)
		}
	}
	switch {
	case slices.Contains(r.Masters, id):
		return cell{State: "master", Text: "master", Hint: fmt.Sprintf("master in round %d", r.Round)}
	case slices.Contains(r.Trainers, id):
		return cell{State: "silent", Text: "silent", Hint: fmt.Sprintf("drawn as a trainer in round %d, sent no update", r.Round)}
	}
	return cell{State: "idle", Text: "·", Hint: fmt.Sprintf("not drawn in round %d", r.Round)}
}

func updateCell(r Round, u Update, low, high fl.Micro) cell {
	hint := fmt.Sprintf("round %d, %d examples, median %s", r.Round, u.NumExamples, scored(u.MedianMicro))
	if !u.Accepted {
		return cell{State: "rejected", Text: scored(u.MedianMicro), Hint: hint + ", rejected"}
	}
	heat := 40
	if high > low {
		heat = 12 + int(48*(u.MedianMicro-low)/(high-low))
	}
	return cell{State: "accepted", Text: scored(u.MedianMicro), Hint: hint + ", accepted", Heat: heat}
}

// medianRange gives the lowest and highest median of the accepted updates.
func medianRange(rounds []Round) (low, high fl.Micro) {
	low, high = fl.One, 0
	for _, r := range rounds {
		for _, u := range r.Updates {
			if u.Accepted {
				low, high = min(low, u.MedianMicro), max(high, u.MedianMicro)
			}
		}
	}
	return low, high
}

func organisations(nodes []string) []string {
	var orgs []string
	for _, id := range nodes {
		org, _, _ := strings.Cut(id, "/")
		orgs = append(orgs, org)
	}
	slices.Sort(orgs)
	return slices.Compact(orgs)
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
