package contract_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/medfed/medfed/chaincode/ledgertest"
)

// TestScenarios runs the scenario files, each on a ledger of its own.
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
			if err := scenario.Run(c.ledger); err != nil {
				t.Fatal(err)
			}
			c.private()
		})
	}
}
