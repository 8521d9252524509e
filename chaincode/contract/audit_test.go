package contract_test

import (
	"fmt"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/ledgertest"
)

// pages reads a whole list, page by page.
func (c *clinic) pages(id *ledgertest.Identity, request consent.AccessListRequest) []consent.Access {
	c.Helper()
	var all []consent.Access
	for {
		page := get[consent.AccessPage](c, id, "audit:ListAccesses", request)
		if len(page.Accesses) > request.PageSize {
			c.Fatalf("a page of %d has %d", request.PageSize, len(page.Accesses))
		}
		all = append(all, page.Accesses...)
		if page.Bookmark == "" {
			return all
		}
		request.Bookmark = page.Bookmark
	}
}

func TestAccessLists(t *testing.T) {
	c := newClinic(t)
	records := []string{c.xray(2), c.xray(1)}
	consents := []string{c.agree(records[0], c.terms(100_000)), c.agree(records[1], c.terms(100_000))}
	begin := c.now()
	var made []consent.Access
	for i := range 30 {
		asks := c.insurer
		if i%3 == 0 {
			asks = c.lab // denied
		}
		which := i % 2
		made = append(made, c.ask(asks, consents[which], records[which], 1))
		if i%5 != 0 {
			c.later(10)
		}
	}
	unknown := c.ask(c.lab, c.draw(consent.ConsentPrefix), records[0], 1)
	made = append(made, unknown)

	for _, list := range []struct {
		by      *ledgertest.Identity
		request consent.AccessListRequest
		belongs func(consent.Access) bool
	}{
		{c.auditor, consent.AccessListRequest{By: "all"}, func(consent.Access) bool { return true }},
		{c.auditor, consent.AccessListRequest{By: "patient", Value: c.patient.String()}, func(a consent.Access) bool { return a.Patient == c.patient.String() }},
		{c.patient, consent.AccessListRequest{By: "patient", Value: c.patient.String()}, func(a consent.Access) bool { return a.Patient == c.patient.String() }},
		{c.insurer, consent.AccessListRequest{By: "grantee", Value: c.insurer.String()}, func(a consent.Access) bool { return a.Grantee == c.insurer.String() }},
		{c.lab, consent.AccessListRequest{By: "grantee", Value: c.lab.String()}, func(a consent.Access) bool { return a.Grantee == c.lab.String() }},
		{c.officer, consent.AccessListRequest{By: "record", Value: records[1]}, func(a consent.Access) bool { return a.Record == records[1] }},
		{c.patient, consent.AccessListRequest{By: "record", Value: records[0]}, func(a consent.Access) bool { return a.Record == records[0] }},
	} {
		for _, bounds := range [][2]int64{{0, 0}, {begin + 50, 0}, {0, begin + 100}, {begin + 40, begin + 120}, {begin + 100_000, 0}, {0, 1}} {
			for _, size := range []int{1, 3, 1000} {
				request := list.request
				request.From, request.Until, request.PageSize = bounds[0], bounds[1], size
				got := c.pages(list.by, request)
				want := map[string]bool{}
				for _, access := range made {
					if list.belongs(access) && access.At >= bounds[0] && (bounds[1] == 0 || access.At <= bounds[1]) {
						want[access.Access] = true
					}
				}
				for i, access := range got {
					if !want[access.Access] || i > 0 && got[i-1].At < access.At {
						t.Errorf("%+v: %+v does not belong at place %d", request, access, i)
					}
					delete(want, access.Access)
				}
				if len(want) != 0 {
					t.Errorf("%+v: %d are missing", request, len(want))
				}
			}
		}
	}
	for code, request := range map[codes.Code]consent.AccessListRequest{
		"MF-LIST-UNKNOWN":  {By: "time", PageSize: 1},
		"MF-PAGE-SIZE":     {By: "all"},
		"MF-PAGE-BOOKMARK": {By: "all", PageSize: 1, Bookmark: "elsewhere"},
		"MF-LIST-TIME":     {By: "all", PageSize: 1, From: -1},
	} {
		_, err := c.ledger.Evaluate(c.auditor, "audit:ListAccesses", request)
		c.isRefusal(code, err)
	}
}

// The history of any key says what, who, when and in which transaction.
func TestAuditHistory(t *testing.T) {
	c := newClinic(t)
	record := c.xray(2)
	id := c.agree(record, c.terms(1000))
	c.revoke(id, 1)
	access := c.ask(c.insurer, id, record, 1)
	for _, h := range []struct {
		object string
		parts  []string
		by     []string
	}{
		{"record", []string{record}, []string{c.officer.String(), c.officer.String()}},
		{"version", []string{record, "2"}, []string{c.officer.String()}},
		{"consent", []string{id}, []string{c.insurer.String()}},
		{"offer", []string{id, "1"}, []string{c.insurer.String()}},
		{"negotiation", []string{id}, []string{c.insurer.String(), c.patient.String()}},
		{"agreement", []string{id, "1"}, []string{c.patient.String()}},
		{"revocation", []string{id}, []string{c.patient.String()}},
		{"access", []string{access.Access}, []string{c.insurer.String()}},
		{"record-patient", []string{c.patient.String(), record}, []string{""}},
		{"task", []string{"none"}, nil},
	} {
		got := get[ledger.History](c, c.auditor, "audit:History", ledger.HistoryRequest{Object: h.object, Parts: h.parts})
		if len(got.Entries) != len(h.by) {
			t.Errorf("%s: %+v", h.object, got)
			continue
		}
		for i, entry := range got.Entries {
			if entry.By != h.by[i] || entry.TxID == "" || entry.Timestamp == 0 || entry.Deleted {
				t.Errorf("%s: %+v, want by %s", h.object, entry, h.by[i])
			}
		}
	}
	for code, request := range map[codes.Code]ledger.HistoryRequest{
		"MF-KEY-UNKNOWN":      {Object: "secrets", Parts: []string{"x"}},
		"MF-KEY-PARTS":        {Object: "version", Parts: []string{record}},
		"MF-IDENTIFIER-EMPTY": {Object: "record", Parts: []string{""}},
	} {
		_, err := c.ledger.Evaluate(c.auditor, "audit:History", request)
		c.isRefusal(code, err)
	}
	_, err := c.ledger.Evaluate(c.auditor, "audit:History", ledger.HistoryRequest{Object: "version", Parts: []string{record, "two"}})
	c.isRefusal("MF-KEY-PARTS", err)
}

// BenchmarkListAccesses reads the first page of a hundred accesses, of a patient
// and of all, in ledgers of more and more accesses: its cost stays the same.
func BenchmarkListAccesses(b *testing.B) {
	for _, total := range []int{100, 1_000, 10_000} {
		c := newClinic(b, ledgertest.WithPeers(hospital, "ResearchCentreMSP"))
		record := c.xray(1)
		var consents []string
		for range max(1, total/10) {
			consents = append(consents, c.agree(record, c.terms(1_000_000)))
		}
		for i := range total {
			c.ask(c.insurer, consents[i%len(consents)], record, 1)
			c.later(1)
		}
		for name, request := range map[string]consent.AccessListRequest{
			"all":     {By: "all", PageSize: 100},
			"patient": {By: "patient", Value: c.patient.String(), PageSize: 100},
		} {
			b.Run(fmt.Sprintf("%s/total=%d", name, total), func(b *testing.B) {
				for b.Loop() {
					if page := get[consent.AccessPage](c, c.auditor, "audit:ListAccesses", request); len(page.Accesses) != 100 {
						b.Fatal(len(page.Accesses))
					}
				}
			})
		}
	}
}
