package contract_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/medfed/medfed/chaincode/ledgertest"
)

// TestScenarios runs the scenario files, each on a ledger of its own, and checks
// the invariants after each step. A failing random program prints such a file.
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
			c := newClinic(t)
			held := newInvariants(c.ledger)
			if err := errors.Join(scenario.Run(c.ledger, held.check), held.leaks()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// scenarioMark comes before a printed scenario.
const scenarioMark = "what was done, as a file for testdata:\n"

// printScenario prints all that was done to a ledger as a scenario file.
func printScenario(t rapid.TB, l *ledgertest.Ledger) {
	t.Logf("%s%s", scenarioMark, l.Scenario(t.Name()))
}
