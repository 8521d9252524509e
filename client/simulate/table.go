package simulate

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// columns of the table; of private training one more, and one behind a backbone.
func (r *Report) columns() []string {
	columns := []string{"round", "phase", "trainers", "accepted", "poisoned", "poisoned_accepted", "previous_median", "allowance",
		"accuracy", "auc", "sensitivity", "specificity", "loss", "digest"}
	if r.Settings.Privacy.On() {
		columns = append(columns, "epsilon")
	}
	if r.Settings.Backbone.Digest != "" {
		columns = append(columns, "backbone")
	}
	return columns
}

// CSV is the rounds as a table: a line each, with rates as decimals and empty
// cells where nothing was measured. It holds no times: the same settings and data
// give the same table.
func (r *Report) CSV() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	err := w.Write(r.columns())
	for _, round := range r.Rounds {
		if err == nil {
			err = w.Write(r.row(round))
		}
	}
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	if err != nil {
		return nil, codes.Wrapf("MF-SIMULATE-WRITE", "the table can't be written: %w; report it", err)
	}
	return b.Bytes(), nil
}

func (r *Report) row(round Round) []string {
	accepted, poisoned := r.Counts(round)
	row := []string{
		strconv.Itoa(round.Round.Number), string(round.Round.Phase),
		strconv.Itoa(len(round.Round.Trainers)), strconv.Itoa(accepted[0] + accepted[1]), strconv.Itoa(poisoned), strconv.Itoa(accepted[1]), "", "",
		"", "", "", "", "", "",
	}
	if round.Round.PreviousMedian != fl.Unscored {
		row[6] = round.Round.PreviousMedian.Decimal(6)
		if r.Settings.ThresholdKind == fl.ThresholdRelative {
			row[7] = round.Round.Allowance.Decimal(6)
		}
	}
	if m := round.Metrics; m != nil {
		for i, v := range []float64{m.Accuracy, m.AUC, m.Sensitivity, m.Specificity, m.Loss} {
			row[8+i] = decimal(v)
		}
	}
	if round.Round.Global != nil {
		row[13] = round.Round.Global.Digest
	}
	if r.Settings.Privacy.On() {
		row = append(row, round.Epsilon.Decimal(6))
	}
	switch b := r.Settings.Backbone; {
	case b.Random:
		row = append(row, fmt.Sprintf("random, seed %d", b.Seed))
	case b.Digest != "":
		row = append(row, "pre-trained "+b.Digest)
	}
	return row
}

// Counts tells of a round how many updates of honest and of dishonest clients
// were accepted, and how many of its trainers were dishonest.
func (r *Report) Counts(round Round) (accepted [2]int, poisoned int) {
	for _, trainer := range round.Round.Trainers {
		if slices.Contains(r.Poisoned, trainer) {
			poisoned++
		}
	}
	for _, result := range round.Round.Results {
		switch {
		case !result.Accepted:
		case slices.Contains(r.Poisoned, result.Node):
			accepted[1]++
		default:
			accepted[0]++
		}
	}
	return accepted, poisoned
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }
