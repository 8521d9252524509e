package determinism_test

import (
	"testing"

	"github.com/medfed/medfed/chaincode/determinism"
	"golang.org/x/tools/go/analysis/analysistest"
)

// Each fault is planted once, beside the form that is allowed.
func TestCase02EachPlantedFaultIsReported(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), determinism.Analyzer, "planted")
}
