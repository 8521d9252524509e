package ledgertest_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/ledgertest"
	"pgregory.net/rapid"
)

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			scenario, err := ledgertest.ParseScenario(text)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, secrets())
			if err := scenario.Run(w.Ledger); err != nil {
				t.Fatal(err)
			}
			replayed(t, w)
		})
	}
}

// replayed checks that what was done to a ledger, written down as a scenario,
// read again and run, makes the same chain.
func replayed(t rapid.TB, w *world) {
	t.Helper()
	text := w.Scenario("again").String()
	scenario, err := ledgertest.ParseScenario([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	again := newWorld(t, secrets())
	if err := scenario.Run(again.Ledger); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if string(again.PublicBytes()) != string(w.PublicBytes()) {
		t.Errorf("the chains differ after\n%s", text)
	}
}

func TestScenarioOfWhatWasDone(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("put a 1", "event e 1")
	w.Advance(90 * time.Second)
	w.Peer("Hospital2MSP").SetSkew(time.Second)
	one, two := w.endorse("copy a b"), w.endorse("del a")
	w.Commit(two, one)
	w.refuse("out of luck", "fail out of luck")
	w.ask("get a")
	if _, err := w.propose("pputtransient secrets \xc3\xa9 data").Transient(map[string][]byte{"data": {0xff, 0}}).At(w.Now().Add(-time.Minute)).On("Hospital1MSP").Submit(); err != nil {
		t.Fatal(err)
	}
	replayed(t, w)
}

// A printed scenario has one line a step, whatever is in it.
func TestScenarioIsOneStepALine(t *testing.T) {
	w := newWorld(t, secrets())
	w.do("put a two\nlines", "event it's x\u2028y")
	w.refuse("out of", "fail out\rof luck: #1 {no} [comment]")
	w.Commit(w.endorse("put b - "), w.endorse("copy a c"))
	text := w.Scenario("a: \"name\"\nand more").String()
	if lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n"); len(lines) != 2+5 {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
	replayed(t, w)
}

// The words of a step that stand for a time or for what another step answered.
func TestScenarioFills(t *testing.T) {
	const text = `
name: filled
steps:
  - {submit: put at LATER, label: one, as: Hospital1MSP/alice, fill: {LATER: now+90s}}
  - {evaluate: get at, label: two, as: Hospital1MSP/alice}
  - {submit: put digest, as: Hospital1MSP/alice, args: [put digest DIGEST], fill: {DIGEST: digest of two}}
`
	scenario, err := ledgertest.ParseScenario([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	// The function's name is not filled, arguments are.
	scenario.Steps[0].Submit, scenario.Steps[0].Args = "get at", []string{"put at LATER"}
	scenario.Steps[2].Submit = "get at"
	w := newWorld(t)
	if err := scenario.Run(w.Ledger); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprint(ledgertest.Start.Add(90 * time.Second).Unix())
	w.want(fmt.Sprintf("at=%s\ndigest=%x", at, sha256.Sum256([]byte("at="+at))), "get at", "get digest")
}

// A check that fails after a step stops the scenario there.
func TestScenarioChecksAfterEachStep(t *testing.T) {
	scenario, err := ledgertest.ParseScenario([]byte("steps: [{submit: put a 1, as: A/b}, {submit: put a 2, as: A/b}, {submit: put a 3, as: A/b}]"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	err = scenario.Run(w.Ledger, func() error {
		if string(w.State("a")) == "2" {
			return errors.New("a is two")
		}
		return nil
	})
	wantError(t, err, "step 2: a is two")
}

// A proposal made again is the same transaction to the byte, and so is what
// comes of it.
func TestProposeAgain(t *testing.T) {
	w, again := newWorld(t, secrets()), newWorld(t, secrets())
	first := w.propose("pputtransient both k data", "put a 1", "event e 1").Transient(map[string][]byte{"data": {0xff}}).At(w.Now().Add(time.Second))
	second, err := again.ProposeAgain(first.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if string(second.Bytes()) != string(first.Bytes()) || second.TxID() != first.TxID() {
		t.Error("the proposals differ")
	}
	for _, p := range []*ledgertest.Proposal{first, second} {
		if _, err := p.Submit(); err != nil {
			t.Fatal(err)
		}
	}
	if string(again.PublicBytes()) != string(w.PublicBytes()) || string(again.PrivateBytes("Hospital1MSP")) != string(w.PrivateBytes("Hospital1MSP")) {
		t.Error("the chains differ")
	}
	_, err = w.ProposeAgain([]byte("no proposal"))
	wantError(t, err, "not a proposal")
	_, err = w.ProposeAgain(nil)
	wantError(t, err, "holds no certificate")
}

// What a test looks at aside is no step of the scenario.
func TestAsideIsNoStep(t *testing.T) {
	w := newWorld(t)
	if _, err := w.propose("get a").Aside().Evaluate(); err != nil {
		t.Fatal(err)
	}
	if steps := w.Scenario("nothing").Steps; len(steps) != 0 {
		t.Errorf("%v", steps)
	}
}

func TestScenarioMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"steps: [{sbumit: x}]":                                                     "field sbumit not found",
		"steps: [{submit: x, evaluate: y}]":                                        "step 1: 2 actions in one step",
		"steps: [{submit: get a}]":                                                 `identity "" is not`,
		"steps: [{commit: [x]}]":                                                   `nothing was endorsed as "x"`,
		"steps: [{freeze: NobodyMSP}]":                                             `organisation "NobodyMSP" has no peer`,
		"steps: [{skew: [Hospital1MSP]}]":                                          "is not an organisation with a peer and a duration",
		"steps: [{skew: [Hospital1MSP, far]}]":                                     "invalid duration",
		"steps: [{advance: far}]":                                                  "invalid duration",
		"steps: [{clock: noon}]":                                                   "cannot parse",
		"steps: [{revoke: alice}]":                                                 `identity "alice" is not`,
		"steps: [{submit: get a, as: A/b, at: noon}]":                              "cannot parse",
		"steps: [{submit: fail now, as: Hospital1MSP/alice}]":                      "chaincode response 500, now",
		"steps: [{evaluate: fail now, as: Hospital1MSP/alice}]":                    "chaincode response 500, now",
		"steps: [{evaluate: get a, as: Hospital1MSP/alice, expect: {payload: x}}]": `payload "a none", want "x"`,
		"steps: [{submit: get a, as: Hospital1MSP/alice, expect: {event: x}}]":     "want x",
		"steps: [{submit: get a, as: Hospital1MSP/alice, expect: {refused: x}}]":   `want a refusal with "x"`,
		"steps: [{submit: put a 1, as: Hospital1MSP/alice, on: [Hospital1MSP], expect: {code: VALID}}]":                           "code ENDORSEMENT_POLICY_FAILURE, want VALID",
		"steps: [{endorse: put a 1, as: Hospital1MSP/alice, on: [Hospital1MSP], label: x}, {commit: [x], expect_codes: [VALID]}]": "x is ENDORSEMENT_POLICY_FAILURE, want VALID",
		"steps: [{submit: put a 1, as: A/b, fill: {X: soon}}]":                                                                    `X can't be filled with "soon"`,
		"steps: [{submit: put a 1, as: A/b, fill: {X: digest of y}}]":                                                             `nothing was answered as "y"`,
		"steps: [{endorse: fail now, as: Hospital1MSP/alice, label: x}]":                                                          "chaincode response 500, now",
	} {
		scenario, err := ledgertest.ParseScenario([]byte(text))
		if err == nil {
			err = scenario.Run(newWorld(t).Ledger)
		}
		wantError(t, err, want)
	}
}
