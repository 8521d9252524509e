package testnetwork

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/record"
)

// scaleVariable says how many accesses the ledger is filled with; without it the
// measurement is skipped, for filling takes minutes.
const scaleVariable = "MEDFED_SCALE"

// Shape of what the ledger is filled with: ten consents on every record, ten
// accesses by every consent, and half of all accesses to one record, so that the
// lists of its patient and its own grow with the total.
const (
	accessesPerConsent = 10
	consentsPerRecord  = 10
	scalePatients      = 10
	scaleClients       = 64  // that submit at once
	listings           = 101 // of a list, for its median
	listed             = 50  // accesses a page
)

// TestAccessListAtScale fills the ledger through the gateways of all members and
// measures, at 100, 1,000, … accesses, what the first page of `access list` costs
// on a peer. It prints the table that README shows; it fails when a list does not
// hold what it must, or when an auditor finds another ledger than the rules make.
//
//	MEDFED_BIN=$PWD/.run/bin MEDFED_SCALE=10000 go test -count=1 -timeout 60m -v -run AccessListAtScale ./test-network
func TestAccessListAtScale(t *testing.T) {
	total, err := strconv.Atoi(os.Getenv(scaleVariable))
	if err != nil || total < 2*accessesPerConsent*consentsPerRecord {
		t.Skip(scaleVariable + " names no number of accesses from 200 on: nothing is measured")
	}
	w := newWard(t)
	s := &archive{ward: w}
	began := time.Now()
	s.register(total / accessesPerConsent / consentsPerRecord)
	s.agree(total / accessesPerConsent)
	t.Logf("%d records and %d consents in %v", len(s.records), len(s.consents), time.Since(began).Round(time.Second))

	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "accesses\tfilled at\tby patient\tby record\tby grantee\tall\tby time\t")
	for size := 100; s.done < total; size = min(size*10, total) {
		rate := s.use(size)
		fmt.Fprintf(out, "%d\t%.0f/s\t", size, rate)
		for _, request := range s.requests() {
			median, fastest := s.measure(request)
			fmt.Fprintf(out, "%.1f (%.1f) ms\t", median, fastest)
		}
		fmt.Fprintln(out)
	}
	out.Flush()
	t.Logf("first page (%d accesses) of access list on %s's peer, median (fastest) of %d, %d consents on the ledger:\n%s", listed, custodian, listings, len(s.consents), table.String())
	s.complete(total)
	began = time.Now()
	summary := s.audited()
	t.Logf("exported and verified %d transactions in %d blocks in %v: %d consents, %+v", summary.Transactions, summary.Blocks, time.Since(began).Round(time.Second), summary.Consents, summary.Accesses)
}

// archive is a ledger full of records, consents and accesses.
type archive struct {
	*ward
	patients []gateway.Contracts
	names    []string // of the patients
	records  []string // the first is the busy one
	consents []string // the first are on the busy record
	uses     []gateway.Contracts
	done     int
	halfway  int64 // when half of the accesses of the last filling were there
}

// inParallel does something n times by many clients at once.
func (s *archive) inParallel(n int, do func(i int) error) {
	s.t.Helper()
	var next, failures atomic.Int64
	var workers sync.WaitGroup
	for range min(n, scaleClients) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failures.Load() == 0; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failures.Add(1)
					s.t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if failures.Load() > 0 {
		s.t.FailNow()
	}
	s.settle()
}

// register makes records of several patients. Their ciphertext is that of one
// file, for what is measured never looks at it.
func (s *archive) register(n int) {
	for range scalePatients {
		name := record.NewPseudonym()
		_, id := s.enrol(custodian, name, consortium.RolePatient)
		s.names, s.patients = append(s.names, name), append(s.patients, s.connect(custodian, id).Contracts())
	}
	staged := s.staging()
	s.records = make([]string, n)
	s.inParallel(n, func(i int) error {
		private := staged
		private.Record = record.NewRecordID()
		if _, err := s.officer.Ledger.Records.Stage(s.t.Context(), custodianMSP, private); err != nil {
			return err
		}
		registered := s.registration(private)
		registered.Patient = s.names[i%scalePatients]
		s.records[i] = private.Record
		_, err := s.officer.Ledger.Records.Register(s.t.Context(), registered)
		return err
	})
}

// agree makes consents, ten on every record.
func (s *archive) agree(n int) {
	_, requester := s.enrol("insurer", "requester", consortium.RoleRequester)
	for _, o := range s.network.Consortium().Organisations {
		if o.Kind.Member() {
			s.uses = append(s.uses, s.connect(o.Name, requester).Contracts())
		}
	}
	offers := make([]consent.Offer, n)
	s.inParallel(n, func(i int) error {
		var err error
		offers[i], err = s.uses[i%len(s.uses)].Consents.Request(s.t.Context(), consent.AskRequest{
			Consent: record.NewConsentID(), Record: s.records[i/consentsPerRecord], Terms: terms(consent.Scope{Kind: consent.ScopeAllFuture}, consent.CompensationNone),
		})
		return err
	})
	s.consents = make([]string, n)
	s.inParallel(n, func(i int) error {
		s.consents[i] = offers[i].Consent
		_, err := s.patients[i/consentsPerRecord%scalePatients].Consents.Accept(s.t.Context(), consent.AcceptRequest{Consent: offers[i].Consent, Offer: 1, Digest: offers[i].Digest()})
		return err
	})
}

// use requests accesses until there are so many, and gives how many there were a
// second. Every other one is to the busy record.
func (s *archive) use(until int) float64 {
	from, began := s.done, time.Now()
	s.inParallel(until-from, func(i int) error {
		of := (from + i) % len(s.consents)
		if i%2 == 0 {
			of = i / 2 % consentsPerRecord
		}
		request := use(s.consents[of], s.records[of/consentsPerRecord], 1)
		access, err := s.uses[i%len(s.uses)].Accesses.RequestAccess(s.t.Context(), request)
		for codes.Of(err) == "MF-GATEWAY-UNKNOWN" { // a machine too busy to commit in a minute; the same request again is safe
			access, err = s.uses[i%len(s.uses)].Accesses.RequestAccess(s.t.Context(), request)
		}
		if err == nil && access.Decision != consent.Permit {
			err = fmt.Errorf("access %s is denied: %s", access.Access, access.Code)
		}
		if i == (until-from)/2 {
			atomic.StoreInt64(&s.halfway, access.At)
		}
		return err
	})
	s.done = until
	return float64(until-from) / time.Since(began).Seconds()
}

// requests are the lists in the order of the table's columns.
func (s *archive) requests() []consent.AccessListRequest {
	grantee := s.requester.id
	return []consent.AccessListRequest{
		{By: "patient", Value: custodianMSP + "/" + s.names[0], PageSize: listed},
		{By: "record", Value: s.records[0], PageSize: listed},
		{By: "grantee", Value: grantee, PageSize: listed},
		{By: "all", PageSize: listed},
		{By: "all", Until: s.halfway, PageSize: listed},
	}
}

// measure gives the median and the shortest time of a list's first page in
// milliseconds. It is evaluated on the custodian's peer, by the network's auditor.
func (s *archive) measure(request consent.AccessListRequest) (median, fastest float64) {
	s.t.Helper()
	_, auditor := s.enrol("auditor", "auditor", consortium.RoleAuditor)
	reader := s.connect(custodian, auditor).Contracts()
	times := make([]time.Duration, listings)
	for i := range times {
		began := time.Now()
		page, err := reader.Audit.ListAccesses(s.t.Context(), request)
		times[i] = time.Since(began)
		s.must(err)
		if i == 0 {
			s.wanted(request, page)
		}
	}
	slices.Sort(times)
	return milliseconds(times[listings/2]), milliseconds(times[0])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// wanted checks a page: full, newest first, nothing of others.
func (s *archive) wanted(request consent.AccessListRequest, page consent.AccessPage) {
	s.t.Helper()
	if len(page.Accesses) != request.PageSize && request.Until == 0 {
		s.t.Errorf("the list by %s has %d accesses on its first page, want %d", request.By, len(page.Accesses), request.PageSize)
	}
	for i, access := range page.Accesses {
		of := map[string]string{"patient": access.Patient, "record": access.Record, "grantee": access.Grantee}[request.By]
		if of != request.Value || request.Until != 0 && access.At > request.Until || i > 0 && access.At > page.Accesses[i-1].At {
			s.t.Errorf("the list by %s until %d holds %+v in place %d", request.By, request.Until, access, i)
		}
	}
}

// complete reads the whole list of all accesses, page by page.
func (s *archive) complete(total int) {
	s.t.Helper()
	_, auditor := s.enrol("auditor", "auditor", consortium.RoleAuditor)
	reader := s.connect(custodian, auditor).Contracts()
	seen := map[string]bool{}
	for request := (consent.AccessListRequest{By: "grantee", Value: s.requester.id, PageSize: ledger.MaxPage}); ; {
		page, err := reader.Audit.ListAccesses(s.t.Context(), request)
		s.must(err)
		for _, access := range page.Accesses {
			seen[access.Access] = true
		}
		if request.Bookmark = page.Bookmark; page.Bookmark == "" {
			break
		}
	}
	if len(seen) < total {
		s.t.Errorf("the list of the grantee's accesses has %d, want %d", len(seen), total)
	}
}
