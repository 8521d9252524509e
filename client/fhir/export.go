package fhir

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
)

// Export writes a consent as the ledger knows it as a Consent resource: indented
// JSON, the same bytes for the same consent. The terms are those of the newest
// agreement, or of the newest offer while nothing was agreed on; every offer and
// agreement follows in extensions. Private terms are not in it. The result has
// passed [Validate]. Errors: MF-FHIR-RELEASE, MF-FHIR-EXPORT.
func Export(state consent.State, release Release) ([]byte, error) {
	if err := checkRelease(release); err != nil {
		return nil, err
	}
	if len(state.Offers) == 0 {
		return nil, codes.Errorf("MF-FHIR-EXPORT", "the consent has no offer, so it says nothing to export; look at it with medfed consent show")
	}
	var resource any = exportR4(state)
	if release == R5 {
		resource = exportR5(state)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(resource); err != nil {
		return nil, codes.Wrapf("MF-FHIR-EXPORT", "the consent has no JSON form: %w; report this", err)
	}
	if problems := Validate(b.Bytes(), release); len(problems) > 0 {
		return nil, codes.Errorf("MF-FHIR-EXPORT", "the export is no valid Consent: %s; report this", listed(problems))
	}
	return b.Bytes(), nil
}

func exportR4(s consent.State) consentR4 {
	terms := stated(s)
	permit := ruleOf(s, terms)
	permit.Type = string(consent.Permit)
	patient := referenceTo("Patient", systemIdentity, s.Consent.Patient)
	return consentR4{
		head:         headOf(s, string(s.Consent.Status)),
		Scope:        conceptOf(systemScope, codePrivacy),
		Category:     []concept{conceptOf(systemLOINC, codeConsentDocument)},
		Patient:      patient,
		DateTime:     dateTime(signedAt(s)),
		Performer:    []reference{patient},
		Organization: []reference{referenceTo("Organization", systemOrganisation, s.Consent.Custodian)},
		PolicyRule:   conceptOf(systemActCode, codeOptOut),
		Provision:    rule{Period: periodOf(terms.Period, acceptedAt(s)), Provision: []rule{permit}},
	}
}

func exportR5(s consent.State) consentR5 {
	terms := stated(s)
	permit := ruleOf(s, terms)
	permit.Period = periodOf(terms.Period, acceptedAt(s))
	patient := referenceTo("Patient", systemIdentity, s.Consent.Patient)
	return consentR5{
		head:       headOf(s, statusR5(s.Consent)),
		Category:   []concept{conceptOf(systemLOINC, codeConsentDocument)},
		Subject:    patient,
		Date:       time.Unix(signedAt(s), 0).UTC().Format(time.DateOnly),
		Period:     permit.Period,
		Grantor:    []reference{patient},
		Grantee:    []reference{referenceTo("Organization", systemIdentity, s.Consent.Grantee)},
		Controller: []reference{referenceTo("Organization", systemOrganisation, s.Consent.Custodian)},
		Decision:   string(consent.Deny),
		Provision:  []rule{permit},
	}
}

// statusR5 gives R5's word. R5 has neither proposed nor rejected: what is being
// negotiated is a draft, and what ended before anything was agreed on is not
// done.
func statusR5(c consent.Consent) string {
	switch c.Status {
	case consent.StatusProposed, consent.StatusDraft:
		return "draft"
	case consent.StatusRejected:
		return "not-done"
	case consent.StatusInactive:
		if c.Agreement == nil {
			return "not-done"
		}
		return "inactive"
	case consent.StatusActive, consent.StatusEnteredInError:
		return string(c.Status)
	default:
		return "unknown"
	}
}

// stated gives the terms that the consent states: agreed on, or proposed last.
func stated(s consent.State) consent.Terms {
	if s.Consent.Agreement != nil {
		return s.Consent.Agreement.Terms
	}
	return s.Offers[len(s.Offers)-1].Terms
}

// acceptedAt is when the newest agreement was made, 0 for none.
func acceptedAt(s consent.State) int64 {
	if s.Consent.Agreement == nil {
		return 0
	}
	return s.Consent.Agreement.AcceptedAt
}

// signedAt is when the consent was agreed on, or asked for.
func signedAt(s consent.State) int64 {
	if at := acceptedAt(s); at != 0 {
		return at
	}
	return s.Consent.RequestedAt
}

// ruleOf is the one rule that permits, without its period.
func ruleOf(s consent.State, terms consent.Terms) rule {
	return rule{
		Actor: []actor{{
			Role:      conceptOf(systemParticipation, codeRecipient),
			Reference: referenceTo("Organization", systemIdentity, s.Consent.Grantee),
		}},
		Action:  []concept{conceptOf(systemAction, codeAccess)},
		Purpose: purposesOf(terms),
		Data:    []data{dataOf(s.Consent.Record, terms.Scope)},
	}
}

func purposesOf(terms consent.Terms) []coding {
	var purposes []coding
	for _, code := range terms.Purposes {
		purposes = append(purposes, coding{systemActReason, code})
	}
	return purposes
}

// dataOf names one version, a record with all its versions, or a record with the
// modifier that narrows it.
func dataOf(record string, scope consent.Scope) data {
	if scope.Kind == consent.ScopeThis {
		value := record + "/" + strconv.Itoa(scope.Version)
		return data{Meaning: "instance", Reference: referenceTo("DocumentReference", systemVersion, value)}
	}
	whole := data{Meaning: "instance", Reference: referenceTo("DocumentReference", systemRecord, record)}
	if scope.Kind == consent.ScopeUpTo {
		whole.ModifierExtension = []extension{{URL: extensionUpTo, Number: scope.Version}}
	}
	return whole
}

// periodOf writes medfed's period, which ends before Until, as FHIR's, whose end
// belongs to it. A period from the acceptance on begins then.
func periodOf(p consent.Period, accepted int64) *period {
	from := p.From
	if from == 0 {
		from = accepted
	}
	written := &period{End: dateTime(p.Until - 1)}
	if from != 0 && from < p.Until {
		written.Start = dateTime(from)
	}
	return written
}

func dateTime(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func headOf(s consent.State, status string) head {
	m := meta{LastUpdated: dateTime(s.Consent.ChangedAt)}
	if s.Consent.Agreement != nil {
		m.VersionID = strconv.Itoa(s.Consent.Agreement.Version)
	}
	return head{
		ResourceType: "Consent",
		ID:           s.Consent.Consent,
		Meta:         m,
		Text:         narrative{"generated", narrativeOf(s)},
		Extension:    extensionsOf(s),
		Identifier:   []identifier{{systemConsent, s.Consent.Consent}},
		Status:       status,
	}
}

// narrativeOf says in one paragraph what the resource states.
func narrativeOf(s consent.State) string {
	terms := stated(s)
	text := fmt.Sprintf("Consent %s (%s): patient %s, grantee %s, controller %s, record %s (%s), purposes %s, until %s.",
		s.Consent.Consent, s.Consent.Status, s.Consent.Patient, s.Consent.Grantee, s.Consent.Custodian,
		s.Consent.Record, scopeText(terms.Scope), strings.Join(terms.Purposes, ", "), dateTime(terms.Period.Until))
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text)) // a buffer takes everything
	return `<div xmlns="http://www.w3.org/1999/xhtml"><p>` + escaped.String() + `</p></div>`
}

func scopeText(s consent.Scope) string {
	switch s.Kind {
	case consent.ScopeThis:
		return fmt.Sprintf("version %d", s.Version)
	case consent.ScopeUpTo:
		return fmt.Sprintf("versions up to %d", s.Version)
	default:
		return "all versions"
	}
}

func extensionsOf(s consent.State) []extension {
	list := []extension{{URL: extensionCompensation, Code: string(stated(s).Compensation)}}
	if s.Consent.Reason != "" {
		list = append(list, extension{URL: extensionReason, Code: string(s.Consent.Reason)})
	}
	for _, offer := range s.Offers {
		list = append(list, extension{URL: extensionOffer, Extension: offerOf(s, offer)})
	}
	for _, a := range s.Agreements {
		list = append(list, extension{URL: extensionAgreement, Extension: agreementOf(a)})
	}
	return list
}

func offerOf(s consent.State, o consent.Offer) []extension {
	by := referenceTo(sideType(o.Side), systemIdentity, o.By)
	parts := []extension{
		{URL: "number", Number: o.Offer},
		{URL: "by", Reference: &by},
		{URL: "made", DateTime: dateTime(o.MadeAt)},
		{URL: "digest", String: o.Digest()},
		{URL: "outcome", Code: outcome(s, o)},
		{URL: "scope", Code: string(o.Terms.Scope.Kind)},
		{URL: "period", Period: periodOf(o.Terms.Period, 0)},
		{URL: "compensation", Code: string(o.Terms.Compensation)},
	}
	if o.Terms.Scope.Version != 0 {
		parts = append(parts, extension{URL: "version", Number: o.Terms.Scope.Version})
	}
	for _, purpose := range purposesOf(o.Terms) {
		parts = append(parts, extension{URL: "purpose", Coding: &purpose})
	}
	if o.PrivateDigest != "" {
		parts = append(parts, extension{URL: "private-digest", String: o.PrivateDigest})
	}
	if o.Expires != 0 {
		parts = append(parts, extension{URL: "expires", DateTime: dateTime(o.Expires)})
	}
	return parts
}

func sideType(side consent.Side) string {
	if side == consent.SidePatient {
		return "Patient"
	}
	return "Organization"
}

// outcome says how an offer ended. The ledger's present state tells of the last
// answer and of all agreements; any other offer that is not open is "closed".
func outcome(s consent.State, o consent.Offer) string {
	for _, a := range s.Agreements {
		if a.Offer == o.Offer {
			return "accepted"
		}
	}
	switch {
	case o.Offer == s.Consent.Open:
		return "open"
	case o.Offer == s.Consent.Closed.Offer && s.Consent.Closed.How == consent.TxReject:
		return "rejected"
	case o.Offer == s.Consent.Closed.Offer && s.Consent.Closed.How == consent.TxWithdraw:
		return "withdrawn"
	default:
		return "closed"
	}
}

func agreementOf(a consent.Agreement) []extension {
	return []extension{
		{URL: "version", Number: a.Version},
		{URL: "offer", Number: a.Offer},
		{URL: "digest", String: a.OfferDigest},
		{URL: "offered-by", String: a.OfferedBy},
		{URL: "accepted-by", String: a.AcceptedBy},
		{URL: "accepted", DateTime: dateTime(a.AcceptedAt)},
	}
}
