package testnetwork

import (
	"slices"
	"testing"

	"github.com/medfed/medfed/test-network/report"
	"github.com/medfed/medfed/test-network/scenario"
	"github.com/medfed/medfed/trainer/dataset"
)

// The record scene on the real network: agreed on version 1 only, so version 2 is
// denied, and everything after the revocation.
func TestRecordScene(t *testing.T) {
	n := liveNetwork(t)
	data, err := dataset.Load(t.Context(), "synthetic", dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := scenario.Records(t.Context(), scenario.RecordConfig{Network: n, Programs: programs(t), Dir: t.TempDir(), Data: data, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	accesses := []report.Access{
		{Version: 1, Decision: "permit"},
		{Version: 2, Decision: "denial", Code: "MF-CONSENT-OUT-OF-SCOPE"},
		{Version: 1, Decision: "denial", Code: "MF-CONSENT-REVOKED"},
	}
	offers := []report.Offer{
		{Version: 1, By: "insurer", Action: "request"}, {Version: 2, By: "patient", Action: "counter"}, {Version: 2, By: "insurer", Action: "accept"},
	}
	if !slices.Equal(got.Accesses, accesses) || !slices.Equal(got.Offers, offers) {
		t.Errorf("%+v", got)
	}
}
