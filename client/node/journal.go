package node

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/trainer/metrics"
)

// The kinds of Span.
const (
	SpanTraining    = "training"
	SpanScoring     = "scoring"
	SpanAggregating = "aggregating"
	SpanIPFS        = "ipfs"
	SpanLedger      = "ledger"
	SpanEvaluation  = "evaluation"
)

// Span is a stretch of time that a node spent on one thing: a line of its
// journal. What overlaps in time is in several lines.
type Span struct {
	Time    time.Time `json:"time"`    // when it ended
	Node    string    `json:"node"`    // "MSP/name"
	Task    string    `json:"task"`    //
	Round   int       `json:"round"`   // 0 outside rounds
	Kind    string    `json:"kind"`    // training, scoring, aggregating, ipfs, ledger or evaluation
	Seconds float64   `json:"seconds"` //
	Detail  string    `json:"detail"`  // the transaction; add or get and a digest; whose weights were scored; error

	// Metrics is what was measured: by scoring on this node's own data, by
	// evaluation on the test split.
	Metrics *metrics.Result `json:"metrics,omitempty"`
}

// ReadJournal reads the spans of a journal. A line that a killed node left
// unfinished is skipped wherever it stands.
func ReadJournal(r io.Reader) ([]Span, error) {
	var spans []Span
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadBytes('\n')
		var span Span
		if json.Unmarshal(line, &span) == nil {
			spans = append(spans, span)
		}
		if errors.Is(err, io.EOF) {
			return spans, nil
		}
		if err != nil {
			return spans, codes.Wrapf("MF-NODE-JOURNAL", "the journal cannot be read: %w; name the file of --journal", err)
		}
	}
}

// journal writes spans, a line of JSON each. A line that can't be written stops no
// round, but is not lost in silence: it is logged when it happens, and lost says at
// the end how many were.
type journal struct {
	mu         sync.Mutex
	out        io.Writer
	log        *slog.Logger
	node, task string
	missing    int   // lines that were not written
	cause      error // of the first
}

func newJournal(out io.Writer, log *slog.Logger, node, task string) *journal {
	return &journal{out: out, log: log, node: node, task: task}
}

// lost is the error of a journal that lacks lines, nil when it has all.
func (j *journal) lost() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.missing == 0 {
		return nil
	}
	return codes.Wrapf("MF-NODE-JOURNAL", "%d lines of the journal could not be written (%w), the task went on without; make room on the journal's disk, or name a file on another", j.missing, j.cause)
}

// span starts the clock; calling the result writes the line.
func (j *journal) span(kind string, round int, detail string) func() {
	started := time.Now()
	return func() { j.write(Span{Round: round, Kind: kind, Detail: detail}, started) }
}

// write completes a span that ends now and writes its line.
func (j *journal) write(s Span, started time.Time) {
	if j.out == nil {
		return
	}
	s.Node, s.Task, s.Time = j.node, j.task, time.Now()
	s.Seconds = s.Time.Sub(started).Seconds()
	line, err := json.Marshal(s)
	if err != nil {
		return // a Span always has a JSON form
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.missing > 0 { // what stands there may have been cut off
		line = append([]byte{'\n'}, line...)
	}
	if _, err := j.out.Write(append(line, '\n')); err != nil {
		if j.missing++; j.missing == 1 {
			j.cause = err
			j.log.Error("the journal can't be written; make room on its disk", "error", err)
		}
	}
}
