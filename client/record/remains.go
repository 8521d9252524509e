package record

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/ledger"
	"github.com/medfed/medfed/chaincode/record"
)

// Remains is what the ledger goes on to show of a record that is erased, or is
// being erased. It is meaningless when nothing private is left and every public
// value is of a kind that says nothing of the patient.
type Remains struct {
	record.Erasure
	Public      []Remaining `json:"public"`
	Meaningless bool        `json:"meaningless"`
}

// Remaining is a public document, or the hash of a private one, that stays for
// ever.
type Remaining struct {
	Key         string   `json:"key"`
	Lists       []string `json:"lists"`       // other keys with the same document or a reference to it
	Why         []string `json:"why"`         // of each kind of value in it, why it says nothing; sorted
	Unexplained []string `json:"unexplained"` // fields of which that can't be said
}

// Remains looks up every document that names the record and holds each of its
// values against the kinds that say nothing. Caller: an officer of the custodian,
// the patient, or an auditor. Needs the ledger.
func (c *Client) Remains(ctx context.Context, rec string) (Remains, error) {
	r := Remains{Public: []Remaining{}}
	var err error
	if r.Erasure, err = c.Ledger.Records.GetErasure(ctx, record.RecordRequest{Record: rec}); err != nil {
		return r, err
	}
	for _, gather := range []func(context.Context, *Remains) error{c.remainsOfRecord, c.remainsOfConsents, c.remainsOfAccesses} {
		if err := gather(ctx, &r); err != nil {
			return r, err
		}
	}
	r.Meaningless = r.Record.Status == record.Erased && len(r.Remaining) == 0 &&
		!slices.ContainsFunc(r.Public, func(d Remaining) bool { return len(d.Unexplained) > 0 })
	return r, nil
}

func (c *Client) remainsOfRecord(ctx context.Context, r *Remains) error {
	id, records := r.Record.Record, "records-"+r.Record.Custodian+": "
	r.add(ledger.RecordKey(id), r.Record, ledger.RecordOfPatientKey(r.Record.Patient, id), ledger.RecordOfHospitalKey(r.Record.Custodian, id))
	versions, err := c.Versions(ctx, id)
	if err != nil {
		return err
	}
	for _, version := range versions {
		r.add(ledger.VersionKey(id, version.Version), version)
		r.hash(records+ledger.PrivateVersionKey(id, version.Version).String(), saltedHash)
	}
	r.hash(records+ledger.CustodyKey(id).String(), "the hash of what the public record says too")
	r.add(ledger.ErasureMembersKey(id), record.ErasureMembers{Record: id, Members: r.Members})
	for _, attestation := range r.Attestations {
		r.add(ledger.ErasureKey(id, attestation.Member), attestation)
	}
	return nil
}

func (c *Client) remainsOfConsents(ctx context.Context, r *Remains) error {
	for listed, err := range c.Ledger.Consents.List(ctx, "record", r.Record.Record) {
		if err != nil {
			return err
		}
		state, err := c.Ledger.Consents.Get(ctx, consent.ConsentRequest{Consent: listed.Consent})
		if err != nil {
			return err
		}
		r.addConsent(state)
	}
	return nil
}

func (r *Remains) addConsent(s consent.State) {
	p := s.Consent.Parties
	grants := "grants-" + p.Custodian + ": "
	r.add(ledger.ConsentKey(p.Consent), p, ledger.ConsentOfPatientKey(p.Patient, p.Consent),
		ledger.ConsentOfGranteeKey(p.Grantee, p.Consent), ledger.ConsentOfRecordKey(p.Record, p.Consent))
	r.add(ledger.NegotiationKey(p.Consent), s.Consent.Negotiation)
	if s.Revocation.Number > 0 || s.Revocation.EnteredInError {
		r.add(ledger.RevocationKey(p.Consent), s.Revocation)
	}
	for _, offer := range s.Offers {
		r.add(ledger.OfferKey(p.Consent, offer.Offer), offer)
		if offer.PrivateDigest != "" {
			r.hash(grants+ledger.TermsKey(p.Consent, offer.Offer).String(), saltedHash)
		}
	}
	for _, agreement := range s.Agreements {
		r.add(ledger.AgreementKey(p.Consent, agreement.Version), agreement)
		r.hash(grants+"grant/"+p.Consent+fmt.Sprintf("/%08d/…", agreement.Version), saltedHash)
	}
}

func (c *Client) remainsOfAccesses(ctx context.Context, r *Remains) error {
	request := consent.AccessListRequest{By: "record", Value: r.Record.Record, PageSize: 1000}
	for a, err := range c.Ledger.Audit.AllAccesses(ctx, request) {
		if err != nil {
			return err
		}
		lists := []ledger.Key{ledger.AccessListKey(ledger.AccessesOfRecord, a.Record, a.At, a.Access), ledger.AccessListKey(ledger.AccessesOfGrantee, a.Grantee, a.At, a.Access),
			ledger.AccessListKey(ledger.AllAccesses, string(ledger.AllAccesses), a.At, a.Access)}
		if a.Patient != "" {
			lists = append(lists, ledger.AccessListKey(ledger.AccessesOfPatient, a.Patient, a.At, a.Access))
		}
		r.add(ledger.AccessKey(a.Access), a, lists...)
	}
	return nil
}

const saltedHash = "the hash, in blocks, of an encrypted document; it is purged, and its key is deleted"

// hash notes the hash of a private document.
func (r *Remains) hash(key, why string) {
	r.Public = append(r.Public, Remaining{Key: key, Lists: []string{}, Why: []string{why}, Unexplained: []string{}})
}

// add holds the values of a public document against the kinds that say nothing.
func (r *Remains) add(key ledger.Key, document any, lists ...ledger.Key) {
	d := Remaining{Key: key.String(), Lists: []string{}, Unexplained: []string{}}
	for _, list := range lists {
		d.Lists = append(d.Lists, list.String())
	}
	text, err := json.Marshal(document)
	var value any
	if err == nil {
		err = json.Unmarshal(text, &value)
	}
	if err != nil { // documents of the ledger always have a JSON form
		d.Unexplained = append(d.Unexplained, "everything")
	}
	why := map[string]bool{}
	explain("", "", value, why, &d.Unexplained)
	d.Why = slices.Sorted(maps.Keys(why))
	r.Public = append(r.Public, d)
}

// explain finds of every value below a field why it says nothing.
func explain(path, field string, value any, why map[string]bool, unexplained *[]string) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			explain(path+"."+name, name, v[name], why, unexplained)
		}
	case []any:
		for _, item := range v {
			explain(path, field, item, why, unexplained)
		}
	case string:
		if v == "" {
			return
		}
		for _, k := range kindsOfValue {
			if slices.Contains(k.fields, field) && k.is(v) {
				why[k.why] = true
				return
			}
		}
		*unexplained = append(*unexplained, strings.TrimPrefix(path, "."))
	default:
		why["numbers: times, counts and the ciphertext's length"] = true
	}
}

// kindOfValue is a kind of public value that says nothing of a patient.
type kindOfValue struct {
	fields []string
	is     func(string) bool
	why    string
}

var kindsOfValue = []kindOfValue{
	{[]string{"record", "consent", "access"}, matches(`[rca]-[0-9a-f]{32}`), "identifiers: drawn at random"},
	{[]string{"patient", "changed_by", "by", "offered_by", "accepted_by"}, matches(`[A-Za-z0-9.-]+/p-[0-9a-f]{32}`),
		"the patient's pseudonym: drawn at random; whose it is stood in the purged documents alone"},
	{[]string{"changed_by", "added_by", "by", "offered_by", "accepted_by", "grantee"}, matches(`[A-Za-z0-9.-]+/[^/]+`),
		"officers, coordinators and grantees: who acted for which organisation"},
	{[]string{"custodian", "member", "members", "holders"}, matches(`[A-Za-z0-9.-]+`), "organisations of the consortium"},
	{[]string{"digest", "private_digest", "content_digest"}, matches(`[0-9a-f]{64}`), "digests of what held 32 random bytes or was encrypted; purged, so nobody can try out values"},
	{[]string{"offer_digest", "tx_id"}, matches(`[0-9a-f]{64}`), "digests of public documents, and transactions"},
	{[]string{"purposes", "purpose"}, consent.IsPurpose, "codes of lists that everyone knows"},
	{[]string{"kind", "status", "reason", "open_by", "side", "how", "decision", "compensation", "code"}, matches(`[A-Za-z-]{1,40}`), "codes of lists that everyone knows"},
}

func matches(pattern string) func(string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString
}
