package main

import (
	"bytes"
	"encoding/json"
	"math"

	"github.com/medfed/medfed/trainer/metrics"
)

// published runs are written one a line: what they depend on, what came of them, and
// the curve as one row of numbers a measure. Of a curve's confusion matrices those
// of two classes follow from sensitivity, specificity and the final one's counts.

// runLine is a line of runs.json.
type runLine struct {
	Name    string          `json:"name"`
	Key     json.RawMessage `json:"key"`
	Test    metrics.Result  `json:"test"`
	Digest  string          `json:"digest"`
	Command string          `json:"command"`
	Commit  string          `json:"commit"`
	Date    string          `json:"date"`
	Seconds rounded         `json:"seconds"`
	Curve   *curveRows      `json:"curve,omitempty"`
}

// curveRows are the measures of a curve, by round or epoch from 1 on.
type curveRows struct {
	AUC         []rounded `json:"auc"`
	Accuracy    []rounded `json:"accuracy"`
	Sensitivity []rounded `json:"sensitivity"`
	Specificity []rounded `json:"specificity"`
	Loss        []rounded `json:"loss"`
}

// rounded is a number written with seven decimals, which tell any two AUCs of two
// classes apart as long as there are fewer than 5 million pairs.
type rounded float64

func (r rounded) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(float64(r)*1e7) / 1e7)
}

func rowsOf(curve []metrics.Result) *curveRows {
	if len(curve) == 0 {
		return nil
	}
	rows := &curveRows{}
	for _, m := range curve {
		rows.AUC = append(rows.AUC, rounded(m.AUC))
		rows.Accuracy = append(rows.Accuracy, rounded(m.Accuracy))
		rows.Sensitivity = append(rows.Sensitivity, rounded(m.Sensitivity))
		rows.Specificity = append(rows.Specificity, rounded(m.Specificity))
		rows.Loss = append(rows.Loss, rounded(m.Loss))
	}
	return rows
}

// finished are the finished runs that the pages rest on.
func (b *book) finished() ([]runLine, error) {
	var lines []runLine
	for _, c := range b.cells {
		kept, err := b.store.find(c.key)
		if err != nil {
			return nil, err
		}
		if kept == nil {
			continue
		}
		o := kept.Outcome
		lines = append(lines, runLine{c.name, kept.Key, o.Test, o.Digest, c.command, kept.Commit, kept.Date, rounded(kept.Seconds), rowsOf(o.Curve)})
	}
	return lines, nil
}

// runsFile is a JSON array with a run a line.
func runsFile(lines []runLine) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, line := range lines {
		text, err := json.Marshal(line)
		if err != nil {
			return nil, err
		}
		b.Write(text)
		if i < len(lines)-1 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString("]\n")
	return b.Bytes(), nil
}
