package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/medfed/medfed/chaincode/fl"
)

// sample is a report of six rounds, the fourth failed, with hospital4/node-1
// poisoned from round 3 on. Its figures are invented and stay in this test.
func sample() Report {
	r := Report{
		Run: Run{Task: "pneumonia-1", Seed: 7, Commit: "0123456789abcdef0123456789abcdef01234567", Date: "2026-11-20T22:07:15Z",
			Command: "make demo", Partition: "iid", Machine: "2 cores, linux/amd64", Rule: "an update is accepted when its median is at least the previous model's less 0.10"},
		Data:     Data{Name: "pneumoniamnist", SHA256: strings.Repeat("ab", 32)},
		Network:  Network{Peers: 5, Orderers: 4, Consensus: "SmartBFT", Fabric: "v3.1.1"},
		Poisoned: Poisoned{Node: "Hospital4MSP/node-1"},
	}
	masters := []string{"Hospital1MSP/node-2", "Hospital2MSP/node-1", "Hospital3MSP/node-2", "ResearchCentreMSP/node-1"}
	trainers := []string{"Hospital1MSP/node-1", "Hospital2MSP/node-2", "Hospital3MSP/node-1", "Hospital4MSP/node-1", "Hospital4MSP/node-2"}
	for n := 1; n <= 6; n++ {
		round := Round{Round: n, Phase: PhaseClosed, Masters: masters, Trainers: trainers, Attestations: 4,
			Seconds: Seconds{Total: 21.5 - float64(n), Training: 14 - float64(n), Scoring: 4.4, Ledger: 1.6, IPFS: .7}}
		for i, id := range trainers {
			org, _, _ := strings.Cut(id, "/")
			u := Update{Node: id, Org: org, CID: "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", Digest: strings.Repeat("0f", 32),
				NumExamples: 523, MedianMicro: fl.Micro(740_000 + 31_000*n + 3_100*i), Accepted: true}
			if id == r.Poisoned.Node && n >= 3 {
				u.MedianMicro, u.Accepted = 257_200, false
			}
			round.Updates = append(round.Updates, u)
		}
		t := float64(n)
		round.Global = &Global{CID: round.Updates[0].CID, Digest: strings.Repeat("1e", 32), Accuracy: .885 - .16/t, AUC: .962 - .09/t, Sensitivity: .97, Specificity: .6 + .02*t}
		if n == 4 {
			round.Phase, round.Global, round.Attestations = PhaseFailed, nil, 0
			round.Updates = round.Updates[:1]
			round.Updates[0].MedianMicro, round.Updates[0].Accepted = fl.Unscored, false
		}
		r.Rounds = append(r.Rounds, round)
	}
	last := &r.Rounds[5]
	for _, org := range []string{"Hospital1MSP", "Hospital2MSP", "Hospital3MSP", "Hospital4MSP"} {
		last.Hospitals = append(last.Hospitals, LocalResult{Org: org, NumExamples: 130, Accuracy: .91, AUC: .95, Sensitivity: .96, Specificity: .7})
	}
	r.FindRejected()
	return r
}

func TestTheFieldsOfReportJSONAreThoseOfTheContract(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "report.json")
	if err := WriteJSON(path, sample()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for path, keys := range map[string]string{
		"":                   "data network poisoned rounds run",
		"data":               "name sha256 synthetic",
		"network":            "consensus fabric orderers peers",
		"rounds.0":           "attestations global masters phase round seconds trainers updates",
		"rounds.0.seconds":   "ipfs ledger scoring total training",
		"rounds.0.global":    "accuracy auc cid digest sensitivity specificity",
		"rounds.0.updates.0": "accepted cid digest median_micro node num_examples org",
		"poisoned":           "node rejected_rounds",
	} {
		if have := strings.Join(keysAt(t, got, path), " "); have != keys {
			t.Errorf("%q holds %q, want %q", path, have, keys)
		}
	}
}

func TestWhatIsWrittenReadsBackTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	want := sample()
	want.Consent = &Consent{Offers: []Offer{{1, "insurer", "request"}}, Accesses: []Access{{2, "denial", "MF-CONSENT-VERSION"}}}
	if err := WriteJSON(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadJSON(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n%+v\nwant\n%+v", got, want)
	}
}

func TestEmptyListsAreWrittenAsLists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	if err := WriteJSON(path, Report{Rounds: []Round{{Round: 1, Phase: PhaseFailed}}, Consent: &Consent{}}); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	for _, key := range []string{"masters", "trainers", "updates", "rejected_rounds", "offers", "accesses"} {
		if !strings.Contains(string(text), `"`+key+`": []`) {
			t.Errorf("%s is not an empty list in\n%s", key, text)
		}
	}
}

func TestAFailedWriteLeavesTheOldFileAndNothingElse(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "report.json")
	if err := WriteJSON(path, sample()); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	bad := sample()
	bad.Rounds[0].Global.AUC = math.NaN()
	if err := WriteJSON(path, bad); err == nil || !strings.HasPrefix(err.Error(), "MF-REPORT-NUMBER: ") {
		t.Errorf("a NaN was written: %v", err)
	}
	if err := WriteJSON(filepath.Join(path, "report.json"), sample()); err == nil || !strings.HasPrefix(err.Error(), "MF-REPORT-WRITE: ") {
		t.Errorf("a file served as a folder: %v", err)
	}
	after, _ := os.ReadFile(path)
	entries, _ := os.ReadDir(folder)
	if !bytes.Equal(before, after) || len(entries) != 1 {
		t.Errorf("the folder holds %v, and the old report changed: %v", entries, !bytes.Equal(before, after))
	}
}

func TestReadJSONRefusesWhatIsNoReport(t *testing.T) {
	for name, text := range map[string]string{"cut": `{"data":`, "unknown field": `{"colour":1}`, "empty": ``} {
		path := filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadJSON(path); err == nil || !strings.HasPrefix(err.Error(), "MF-REPORT-READ: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindRejectedNamesTheRoundsOfThePoisonedNodeOnly(t *testing.T) {
	if got, want := sample().Poisoned.RejectedRounds, []int{3, 5, 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("rejected in %v, want %v", got, want)
	}
}

func TestThePageFetchesNothingAndShowsTheFigures(t *testing.T) {
	text := htmlOf(t, sample())
	if found := regexp.MustCompile(`(?i)(src=|href=|url\(|@import|https?://|<script)`).FindString(text); found != "" {
		t.Errorf("the page refers to something outside: %q", found)
	}
	if strings.Contains(text, "ZgotmplZ") {
		t.Error("the template refused a value")
	}
	if strings.Contains(text, "SYNTHETIC") {
		t.Error("real data are called synthetic")
	}
	for _, want := range []string{"pneumoniamnist", strings.Repeat("ab", 32), "seed", "0123456789abcdef0123456789abcdef01234567",
		"2026-11-20T22:07:15Z", "SmartBFT", "v3.1.1", "0.8583", "0.9470", "✕", "poisoned", "rounds 3, 5 and 6", "0.2572", "master"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

func TestSyntheticDataAreMarkedEverywhere(t *testing.T) {
	r := sample()
	r.Data = Data{Name: "synthetic", Synthetic: true}
	if n := strings.Count(htmlOf(t, r), "SYNTHETIC"); n < 4 {
		t.Errorf("the page says SYNTHETIC %d times", n)
	}
	var b bytes.Buffer
	if err := WriteHeading(&b, r); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "SYNTHETIC") {
		t.Errorf("the heading begins %q", b.String())
	}
	for _, synthetic := range []bool{true, false} {
		b.Reset()
		if err := WriteRound(&b, r.Rounds[0], synthetic, ""); err != nil {
			t.Fatal(err)
		}
		title, _, _ := strings.Cut(strings.TrimSpace(b.String()), "\n")
		if strings.Contains(title, "SYNTHETIC") != synthetic || utf8.RuneCountInString(title) != Width {
			t.Errorf("synthetic %v: a round's title is %q", synthetic, title)
		}
	}
	b.Reset()
	if err := WriteSummary(&b, r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "(SYNTHETIC)") {
		t.Errorf("the summary does not say so:\n%s", b.String())
	}
}

func TestThePageEscapesNames(t *testing.T) {
	r := sample()
	r.Data.Name = `<script>alert(1)</script>`
	r.Rounds[0].Updates[0].Node = `"><img src=x>`
	if text := htmlOf(t, r); strings.Contains(text, "<script") || strings.Contains(text, "<img") {
		t.Error("a name became markup")
	}
}

func TestThePageStandsWithNothingInIt(t *testing.T) {
	for name, r := range map[string]Report{
		"empty":      {},
		"one failed": {Rounds: []Round{{Round: 1, Phase: PhaseFailed, Masters: []string{"A/1"}}}},
		"one closed": {Rounds: sample().Rounds[:1]},
	} {
		if text := htmlOf(t, r); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: the page holds a number that is none", name)
		}
	}
}

func TestTerminalTablesKeepTo80Columns(t *testing.T) {
	r := sample()
	long := "ResearchCentreOfTheWholeConsortiumMSP/a-node-with-a-very-long-name-01"
	r.Rounds[0].Trainers = append(r.Rounds[0].Trainers, long)
	r.Rounds[0].Masters = append(r.Rounds[0].Masters, long, long)
	var b bytes.Buffer
	if err := WriteHeading(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, round := range r.Rounds {
		if err := WriteRound(&b, round, r.Data.Synthetic, r.Poisoned.Node); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteSummary(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if n := utf8.RuneCountInString(line); n > Width {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, want := range []string{"rejected ✕  poisoned", "no update", "unscored", "failed", "accuracy 0.8583", "rejected in rounds 3, 5 and 6"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the tables do not say %q:\n%s", want, b.String())
		}
	}
}

func TestTheTimesOfARoundAddUp(t *testing.T) {
	s := Seconds{Total: 20, Training: 12, Scoring: 4, Ledger: 2, IPFS: 1}
	if s.Overhead() != 4 || s.Other() != 1 {
		t.Errorf("overhead %v, other %v", s.Overhead(), s.Other())
	}
	if s := (Seconds{Total: 1, Training: 2}); s.Overhead() != 0 || s.Other() != 0 {
		t.Errorf("parts beyond the total left overhead %v, other %v", s.Overhead(), s.Other())
	}
}

func htmlOf(t *testing.T, r Report) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	if err := WriteHTML(path, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keysAt gives the sorted keys of the object at a dotted path.
func keysAt(t *testing.T, v any, path string) []string {
	t.Helper()
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		if list, ok := v.([]any); ok {
			v = list[0]
			continue
		}
		v = v.(map[string]any)[part]
	}
	return slices.Sorted(maps.Keys(v.(map[string]any)))
}
