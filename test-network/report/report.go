// Package report is what a demo leaves behind: report.json, the same as one
// self-contained page, and the table of a round as it happens. Every figure in
// it was measured by the run it describes; a figure that was not measured is
// absent, never zero.
package report

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"sort"

	"github.com/google/renameio/v2"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// Phases of a round that a report knows, in the ledger's words.
const (
	PhaseClosed = "closed"
	PhaseFailed = "failed"
)

// Report is the whole of report.json.
type Report struct {
	Run      Run      `json:"run"`
	Data     Data     `json:"data"`
	Network  Network  `json:"network"`
	Rounds   []Round  `json:"rounds"` // in the order they were opened, failed ones included
	Poisoned Poisoned `json:"poisoned"`
	Consent  *Consent `json:"consent,omitempty"` // nil when the run had no record scene
}

// Run says how the figures came about, so that they can be had again.
type Run struct {
	Task      string `json:"task"`
	Seed      int64  `json:"seed"`
	Commit    string `json:"commit"`    // revision of medfed, "" when unknown
	Date      string `json:"date"`      // RFC 3339
	Command   string `json:"command"`   // what to type to have them again
	Partition string `json:"partition"` // how the examples were split, for instance iid
	Rule      string `json:"rule"`      // when an update is accepted, in words
	Machine   string `json:"machine"`   // cores and architecture, in words
}

// Data names the examples the task was trained on.
type Data struct {
	Name      string `json:"name"`
	SHA256    string `json:"sha256"`    // of the data file, or of the generated examples
	Synthetic bool   `json:"synthetic"` // generated, not measured on anyone
}

// Network is what the round ran on.
type Network struct {
	Peers     int    `json:"peers"`
	Orderers  int    `json:"orderers"`
	Consensus string `json:"consensus"` // for instance SmartBFT
	Fabric    string `json:"fabric"`    // version of the peers and orderers
}

// Round is one pass: sample, train, score, aggregate.
type Round struct {
	Round        int           `json:"round"`
	Phase        string        `json:"phase"` // closed or failed
	Seconds      Seconds       `json:"seconds"`
	Masters      []string      `json:"masters"`  // node IDs in drawn order
	Trainers     []string      `json:"trainers"` // node IDs in drawn order
	Updates      []Update      `json:"updates"`
	Global       *Global       `json:"global"` // null when the round failed
	Attestations int           `json:"attestations"`
	Hospitals    []LocalResult `json:"hospitals,omitempty"` // the global model on each hospital's own examples
}

// Seconds is where the wall time of a round went. What is left of Total after
// the four parts was spent waiting or in the processes themselves.
type Seconds struct {
	Total    float64 `json:"total"`
	Training float64 `json:"training"`
	Scoring  float64 `json:"scoring"`
	Ledger   float64 `json:"ledger"`
	IPFS     float64 `json:"ipfs"`
}

// Update is what a trainer handed in and what the masters made of it.
type Update struct {
	Node        string   `json:"node"` // "MSP/name"
	Org         string   `json:"org"`  // MSP identifier
	CID         string   `json:"cid"`
	Digest      string   `json:"digest"`
	NumExamples int64    `json:"num_examples"`
	MedianMicro fl.Micro `json:"median_micro"` // fl.Unscored when below quorum
	Accepted    bool     `json:"accepted"`
}

// Global is the aggregate the masters attested, measured on the official test
// split.
type Global struct {
	CID         string  `json:"cid"`
	Digest      string  `json:"digest"`
	Accuracy    float64 `json:"accuracy"`
	AUC         float64 `json:"auc"`
	Sensitivity float64 `json:"sensitivity"`
	Specificity float64 `json:"specificity"`
}

// LocalResult is the global model measured on one organisation's own examples.
type LocalResult struct {
	Org         string  `json:"org"` // MSP identifier
	NumExamples int     `json:"num_examples"`
	Accuracy    float64 `json:"accuracy"`
	AUC         float64 `json:"auc"`
	Sensitivity float64 `json:"sensitivity"`
	Specificity float64 `json:"specificity"`
}

// Poisoned is the node that was told to send poisoned weights, and the rounds in
// which the masters rejected them. Node is "" when none was.
type Poisoned struct {
	Node           string `json:"node"`
	RejectedRounds []int  `json:"rejected_rounds"`
}

// Consent is the record scene: what was offered and what each access came to.
type Consent struct {
	Offers   []Offer  `json:"offers"`
	Accesses []Access `json:"accesses"`
}

// Offer is one side's proposed terms in the negotiation.
type Offer struct {
	Version int    `json:"version"`
	By      string `json:"by"`
	Action  string `json:"action"` // request, counter, accept, reject or withdraw
}

// Access is one use of a consent, permitted or denied.
type Access struct {
	Version  int    `json:"version"`  // of the record
	Decision string `json:"decision"` // permit or denial
	Code     string `json:"code"`     // reason of a denial, "" for a permit
}

// Last gives the newest closed round, or nil when none closed.
func (r Report) Last() *Round {
	for i := len(r.Rounds) - 1; i >= 0; i-- {
		if r.Rounds[i].Phase == PhaseClosed && r.Rounds[i].Global != nil {
			return &r.Rounds[i]
		}
	}
	return nil
}

// FindRejected fills Poisoned.RejectedRounds from the rounds: those in which an
// update of the poisoned node was not accepted.
func (r *Report) FindRejected() {
	r.Poisoned.RejectedRounds = []int{}
	for _, round := range r.Rounds {
		for _, u := range round.Updates {
			if u.Node == r.Poisoned.Node && !u.Accepted {
				r.Poisoned.RejectedRounds = append(r.Poisoned.RejectedRounds, round.Round)
			}
		}
	}
}

// Overhead is the part of a round that is neither training nor scoring, in
// seconds, never below zero.
func (s Seconds) Overhead() float64 { return math.Max(0, s.Total-s.Training-s.Scoring) }

// Other is the part of Total that none of the four parts accounts for.
func (s Seconds) Other() float64 {
	return math.Max(0, s.Total-s.Training-s.Scoring-s.Ledger-s.IPFS)
}

// Nodes gives every node that took part in a round, sorted.
func (r Report) Nodes() []string {
	seen := map[string]bool{}
	for _, round := range r.Rounds {
		for _, ids := range [][]string{round.Masters, round.Trainers} {
			for _, id := range ids {
				seen[id] = true
			}
		}
		for _, u := range round.Updates {
			seen[u.Node] = true
		}
	}
	nodes := make([]string, 0, len(seen))
	for id := range seen {
		nodes = append(nodes, id)
	}
	sort.Strings(nodes)
	return nodes
}

// WriteJSON writes report.json to path, whole or not at all. Lists that are
// empty are written as [], so that a reader need not know null.
func WriteJSON(path string, r Report) error {
	text, err := json.MarshalIndent(withoutNulls(r), "", "  ")
	if err != nil {
		return codes.Wrapf("MF-REPORT-NUMBER", "the report holds a number that JSON can't: %w; a metric was not a number when it was measured", err)
	}
	return writeWhole(path, append(text, '\n'))
}

// ReadJSON reads a report.json that WriteJSON wrote.
func ReadJSON(path string) (Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Report{}, codes.Wrapf("MF-REPORT-READ", "%w; name a report.json that a demo wrote", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var r Report
	if err := decoder.Decode(&r); err != nil {
		return Report{}, codes.Wrapf("MF-REPORT-READ", "%s is no report: %w; run the demo again", path, err)
	}
	return r, nil
}

func withoutNulls(r Report) Report {
	r.Rounds = append([]Round{}, r.Rounds...)
	for i := range r.Rounds {
		round := &r.Rounds[i]
		round.Masters = append([]string{}, round.Masters...)
		round.Trainers = append([]string{}, round.Trainers...)
		round.Updates = append([]Update{}, round.Updates...)
	}
	r.Poisoned.RejectedRounds = append([]int{}, r.Poisoned.RejectedRounds...)
	if r.Consent != nil {
		r.Consent = &Consent{
			Offers:   append([]Offer{}, r.Consent.Offers...),
			Accesses: append([]Access{}, r.Consent.Accesses...),
		}
	}
	return r
}

// writeWhole puts text at path in one step, so that a reader sees the old file or the
// new one and nothing between.
func writeWhole(path string, text []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = renameio.WriteFile(path, text, 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
	}
	if err != nil {
		return codes.Wrapf("MF-REPORT-WRITE", "%w; choose a folder that can be written", err)
	}
	return nil
}
