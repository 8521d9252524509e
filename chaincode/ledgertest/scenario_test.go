package ledgertest_test

import (
	"os"
	"path/filepath"
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
		"steps: [{endorse: fail now, as: Hospital1MSP/alice, label: x}]":                                                          "chaincode response 500, now",
	} {
		scenario, err := ledgertest.ParseScenario([]byte(text))
		if err == nil {
			err = scenario.Run(newWorld(t).Ledger)
		}
		wantError(t, err, want)
	}
}
