package testnetwork

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	fabric "github.com/hyperledger/fabric-gateway/pkg/client"
	"google.golang.org/grpc/codes"

	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

// A private write that the chaincode refuses comes back at the first attempt: the
// custodian's peer alone is asked, so there is none that could lie behind another.
func TestARefusedPrivateWriteComesBackAtOnce(t *testing.T) {
	w := newWard(t)
	private := w.staging()
	private.Record, private.Version = record.NewRecordID(), 9 // of a record that has none
	_, officer := w.enrol(custodian, "officer", consortium.RoleCustodian)
	var attempts atomic.Int64
	g, err := gateway.Connect(w.profile(custodian), officer, gateway.Options{Observe: func(c gateway.Call) { attempts.Add(int64(c.Attempts)) }})
	w.must(err)
	t.Cleanup(func() { _ = g.Close() })
	_, err = g.Contracts().Records.Stage(t.Context(), custodianMSP, private)
	w.denied("MF-VERSION-NUMBER", err)
	if n := attempts.Load(); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
	// The words that client/gateway goes by, and its tests repeat.
	var refused *fabric.EndorseError
	if !errors.As(err, &refused) {
		t.Fatalf("%v is no refused endorsement", err)
	}
	s := refused.GRPCStatus()
	if s.Code() != codes.Aborted || !strings.HasPrefix(s.Message(), "failed to collect enough transaction endorsements") || !strings.Contains(details(err), "MF-VERSION-NUMBER: ") {
		t.Errorf("the peer's gateway answers %v: %q with %s", s.Code(), s.Message(), details(err))
	}
}
