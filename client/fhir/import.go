package fhir

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/record"
)

// Party is who a resource names: by medfed's own identifier where it has one, by
// the reference as written otherwise.
type Party struct {
	ID      string `json:"id"`      // "MSP/name", an MSP identifier, or the reference's text
	Own     bool   `json:"own"`     // ID is an identity or organisation of medfed
	Display string `json:"display"` // as written, may be ""
}

// Imported is what medfed understands of a Consent resource. It is a draft: it
// permits nothing until the parties negotiate it on the ledger.
type Imported struct {
	Release    Release        `json:"release"`
	ID         string         `json:"id"`      // of the resource
	Consent    string         `json:"consent"` // medfed's own identifier, "" for a consent made elsewhere
	Status     consent.Status `json:"status"`  // as the resource claims it
	Grantor    Party          `json:"grantor"`
	Grantee    Party          `json:"grantee"`
	Controller Party          `json:"controller"`
	Signed     string         `json:"signed"` // FHIR date or dateTime as written
	Record     string         `json:"record"` // medfed's own identifier, "" for none
	Terms      consent.Terms  `json:"terms"`
	// Decision is permit only when the resource denies by default, permits in one
	// rule, and every part of that rule is in the fields above. Everything else
	// is deny.
	Decision consent.Decision `json:"decision"`
	Mapped   []Field          `json:"mapped"`
	Unmapped []Field          `json:"unmapped"`
	Missing  []string         `json:"missing"` // fields of medfed's that the resource says nothing of
}

// Import reads a Consent resource of a release. Every leaf of it is in Mapped or
// in Unmapped, by its FHIRPath. Errors: MF-FHIR-RELEASE; MF-FHIR-INVALID for what
// [Validate] refuses.
func Import(resource []byte, release Release) (*Imported, error) {
	if err := checkRelease(release); err != nil {
		return nil, err
	}
	root, err := decode(resource)
	if err != nil {
		return nil, codes.Wrapf("MF-FHIR-INVALID", "the resource %w; export it again from where it comes from", err)
	}
	if problems := validate(root, release); len(problems) > 0 {
		return nil, codes.Errorf("MF-FHIR-INVALID", "this is no valid Consent of FHIR %s: %s; correct it, or name its release", strings.ToUpper(string(release)), listed(problems))
	}
	c := read(root)
	i := &importer{Imported: &Imported{Release: release, Decision: consent.Deny}}
	i.general(c)
	if release == R4 {
		i.consentR4(c)
	} else {
		i.consentR5(c)
	}
	i.finish(c)
	return i.Imported, nil
}

type importer struct {
	*Imported
	permits bool // the resource denies by default and permits in one rule
}

// general reads what both releases write alike.
func (i *importer) general(c cursor) {
	c.get("resourceType").mapped(implied)
	i.ID = c.get("id").text()
	c.get("id").mapped("id")
	c.get("meta").unmapped("the ledger numbers and dates its own versions")
	c.get("text").unmapped("the narrative repeats the fields; medfed writes its own")
	for _, id := range c.items("identifier") {
		if id.get("system").text() == systemConsent && consent.CheckConsentID(id.get("value").text()) == nil {
			i.Consent = id.get("value").text()
			id.mapped("consent")
			continue
		}
		id.unmapped("a consent on the ledger has medfed's own opaque identifier only")
	}
	i.status(c.get("status"))
	for _, category := range c.items("category") {
		i.fixed(category, systemLOINC, []string{codeConsentDocument}, "medfed knows one category of consent, LOINC 59284-0")
	}
	for _, e := range c.items("extension") {
		i.extension(e)
	}
	c.get("verification").unmapped("on the ledger the parties' own signatures verify a consent")
}

// status reads R4's words, which are medfed's, and those of R5.
func (i *importer) status(c cursor) {
	switch text := c.text(); text {
	case "not-done":
		i.Status = consent.StatusRejected
	case "unknown":
		c.unmapped("a consent on the ledger always has a known status")
		return
	default:
		i.Status = consent.Status(text)
	}
	c.mapped("status")
}

func (i *importer) extension(e cursor) {
	switch e.get("url").text() {
	case extensionCompensation:
		i.Terms.Compensation = consent.Compensation(e.get("valueCode").text())
		e.mapped("terms.compensation")
	case extensionOffer, extensionAgreement, extensionReason:
		e.unmapped("history stays on the ledger that made it")
	default:
		e.unmapped("medfed does not know this extension")
	}
}

func (i *importer) consentR4(c cursor) {
	i.fixed(c.get("scope"), systemScope, []string{codePrivacy}, "a consent of medfed is about privacy")
	i.party(c.get("patient"), &i.Grantor, "grantor", "a consent has one patient")
	for _, performer := range c.items("performer") {
		i.party(performer, &i.Grantor, "grantor", "only the patient signs a consent of medfed")
	}
	for _, organisation := range c.items("organization") {
		i.party(organisation, &i.Controller, "controller", "a consent of medfed has one controller, the record's custodian")
	}
	i.Signed = c.get("dateTime").text()
	c.get("dateTime").mapped("signed")
	denies := i.fixed(c.get("policyRule"), systemActCode, []string{codeOptOut}, "medfed denies whatever is not permitted in so many words")
	for _, source := range []string{"sourceAttachment", "sourceReference", "policy"} {
		c.get(source).unmapped("the ledger holds the terms themselves, no document or policy they are taken from")
	}
	root := c.get("provision")
	i.permits = denies && root.get("type").text() == string(consent.Permit)
	nested := root.items("provision")
	i.rule(root)
	if len(nested) == 1 && !root.get("type").present() && nested[0].get("type").text() == string(consent.Permit) {
		i.permits = denies
		i.rule(nested[0])
		nested = nil
	}
	for _, other := range nested {
		other.unmapped("medfed's terms are one rule that permits; this one is besides it")
	}
}

func (i *importer) consentR5(c cursor) {
	i.party(c.get("subject"), &i.Grantor, "grantor", "the subject of a consent of medfed is the patient who grants it")
	for _, grantor := range c.items("grantor") {
		i.party(grantor, &i.Grantor, "grantor", "only the patient grants a consent of medfed")
	}
	for _, grantee := range c.items("grantee") {
		i.party(grantee, &i.Grantee, "grantee", "a consent of medfed has one grantee; make one for each")
	}
	for _, controller := range c.items("controller") {
		i.party(controller, &i.Controller, "controller", "a consent of medfed has one controller, the record's custodian")
	}
	i.Signed = c.get("date").text()
	c.get("date").mapped("signed")
	i.period(c.get("period"))
	for _, source := range []string{"sourceAttachment", "sourceReference", "policyBasis", "policyText", "regulatoryBasis"} {
		c.get(source).unmapped("the ledger holds the terms themselves, no document or policy they are taken from")
	}
	decision, rules := c.get("decision"), c.items("provision")
	denies := decision.text() == string(consent.Deny)
	if denies {
		decision.mapped(implied)
	}
	decision.unmapped("medfed denies whatever is not permitted in so many words")
	if len(rules) != 1 {
		for _, rule := range rules {
			rule.unmapped("medfed's terms are one rule that permits")
		}
		return
	}
	i.permits = denies
	i.rule(rules[0])
	rules[0].get("provision").unmapped("medfed's terms are one rule that permits; this one is besides it")
}

// fixed marks a concept that is one of the codes of a system as implied, anything
// else as unmapped. It reports whether it was.
func (i *importer) fixed(c cursor, system string, allowed []string, why string) bool {
	all := len(c.items("coding")) > 0
	for _, item := range c.items("coding") {
		if item.get("system").text() != system || !slices.Contains(allowed, item.get("code").text()) {
			all = false
			item.unmapped(why)
			continue
		}
		for _, name := range []string{"system", "code", "display", "version"} {
			item.get(name).mapped(implied)
		}
	}
	c.unmapped(why)
	return all
}

// party fills a party, or finds that it is the same one again.
func (i *importer) party(c cursor, into *Party, to, why string) {
	if !c.present() {
		return
	}
	found := partyOf(c)
	switch {
	case found.ID == "":
		c.unmapped("the reference names nobody")
		return
	case into.ID == "":
		*into = found
	case into.ID != found.ID:
		c.unmapped(why)
		return
	}
	for _, name := range []string{"reference", "type", "display"} {
		c.get(name).mapped(to)
	}
	if found.Own {
		c.get("identifier").mapped(to)
	}
	c.unmapped("the party is named by its reference")
}

func partyOf(c cursor) Party {
	display := c.get("display").text()
	id := c.get("identifier")
	if system := id.get("system").text(); system == systemIdentity || system == systemOrganisation {
		return Party{id.get("value").text(), true, display}
	}
	return Party{c.get("reference").text(), false, display}
}

// rule reads one rule; nested rules are left to the caller.
func (i *importer) rule(c cursor) {
	c.get("type").mapped("decision")
	i.period(c.get("period"))
	for _, actor := range c.items("actor") {
		i.actor(actor)
	}
	for _, action := range c.items("action") {
		i.fixed(action, systemAction, []string{codeAccess}, "medfed permits access only")
	}
	for _, purpose := range c.items("purpose") {
		i.purpose(purpose)
	}
	for _, d := range c.items("data") {
		i.data(d)
	}
	for _, name := range []string{"securityLabel", "class", "code", "documentType", "resourceType", "dataPeriod", "expression"} {
		c.get(name).unmapped("medfed's terms name a record and its versions; they select nothing within or beyond it")
	}
}

// actor reads a recipient as the grantee and a custodian as the controller.
func (i *importer) actor(c cursor) {
	code := ""
	for _, item := range c.get("role").items("coding") {
		if item.get("system").text() == systemParticipation {
			code = item.get("code").text()
		}
	}
	into, to, why := &i.Grantee, "grantee", "a consent of medfed has one grantee; make one for each"
	switch code {
	case codeRecipient, codePrimary:
	case codeCustodian:
		into, to, why = &i.Controller, "controller", "a consent of medfed has one controller, the record's custodian"
	default:
		c.unmapped("medfed's terms name a grantee and a controller, no other actor")
		return
	}
	i.party(c.get("reference"), into, to, why)
	if who := partyOf(c.get("reference")); who.ID != "" && who.ID == into.ID {
		i.fixed(c.get("role"), systemParticipation, []string{code}, "the party has one role")
	}
	c.get("role").unmapped(why)
}

func (i *importer) purpose(c cursor) {
	code := c.get("code").text()
	if c.get("system").text() != systemActReason || !consent.IsPurpose(code) {
		c.unmapped("medfed knows the codes of HL7's PurposeOfUse only")
		return
	}
	if !slices.Contains(i.Terms.Purposes, code) {
		i.Terms.Purposes = append(i.Terms.Purposes, code)
		slices.Sort(i.Terms.Purposes)
	}
	for _, name := range []string{"system", "code", "display", "version"} {
		c.get(name).mapped("terms.purposes")
	}
}

// period reads FHIR's period, whose end belongs to it, as medfed's, which ends
// before Until. Two of them must agree.
func (i *importer) period(c cursor) {
	if !c.present() {
		return
	}
	var p consent.Period
	if from, ok := moment(c.get("start").value, false); ok {
		p.From = from.Unix()
	}
	if until, ok := moment(c.get("end").value, true); ok {
		p.Until = until.Unix() + 1
	}
	if i.Terms.Period != (consent.Period{}) && i.Terms.Period != p {
		c.unmapped("a consent of medfed has one period; this one differs from it")
		return
	}
	i.Terms.Period = p
	c.get("start").mapped("terms.period.from")
	c.get("end").mapped("terms.period.until")
}

// data reads a record of medfed's with the versions of it that are meant.
func (i *importer) data(c cursor) {
	const why = "medfed's terms name one record by its opaque identifier; register the data as a record first"
	id := c.get("reference").get("identifier")
	record, scope, ok := i.recordOf(c, id.get("system").text(), id.get("value").text())
	if !ok || c.get("meaning").text() != "instance" || i.Record != "" && (i.Record != record || i.Terms.Scope != scope) {
		c.unmapped(why)
		return
	}
	i.Record, i.Terms.Scope = record, scope
	c.get("meaning").mapped(implied)
	for _, name := range []string{"identifier", "type", "display"} {
		c.get("reference").get(name).mapped("record, terms.scope")
	}
	for _, e := range c.items("modifierExtension") {
		if e.get("url").text() == extensionUpTo {
			e.mapped("terms.scope.version")
		}
	}
}

func (i *importer) recordOf(c cursor, system, value string) (rec string, scope consent.Scope, ok bool) {
	rec, scope = value, consent.Scope{Kind: consent.ScopeAllFuture}
	if system == systemVersion {
		var number string
		rec, number, _ = strings.Cut(value, "/")
		version, err := strconv.Atoi(number)
		if err != nil || version < 1 || version > record.MaxVersions || strconv.Itoa(version) != number {
			return "", scope, false
		}
		scope = consent.Scope{Kind: consent.ScopeThis, Version: version}
	}
	for _, e := range c.items("modifierExtension") {
		if e.get("url").text() != extensionUpTo {
			continue
		}
		number, _ := e.get("valuePositiveInt").value.(json.Number)
		version, err := strconv.Atoi(number.String())
		if err != nil || version > record.MaxVersions || scope.Kind != consent.ScopeAllFuture {
			return "", scope, false
		}
		scope = consent.Scope{Kind: consent.ScopeUpTo, Version: version}
	}
	known := system == systemRecord || system == systemVersion
	return rec, scope, known && record.CheckRecordID(rec) == nil
}

// finish sorts the leaves into mapped and unmapped, says what is missing and
// decides.
func (i *importer) finish(c cursor) {
	i.Mapped, i.Unmapped, i.Missing = []Field{}, []Field{}, []string{}
	narrowed := false
	for _, path := range c.fields.leaves {
		f, said := c.fields.fate[path]
		if !said {
			f = Field{Path: path, Why: "medfed has no field for it"}
		}
		if f.To != "" {
			i.Mapped = append(i.Mapped, f)
			continue
		}
		i.Unmapped = append(i.Unmapped, f)
		narrowed = narrowed || narrows(path)
	}
	for _, field := range []struct {
		name string
		said bool
	}{
		{"grantor", i.Grantor.ID != ""},
		{"grantee", i.Grantee.ID != ""},
		{"controller", i.Controller.ID != ""},
		{"record", i.Record != ""},
		{"terms.purposes", len(i.Terms.Purposes) > 0},
		{"terms.period.until", i.Terms.Period.Until != 0},
	} {
		if !field.said {
			i.Missing = append(i.Missing, field.name)
		}
	}
	if i.Terms.Compensation == "" {
		i.Terms.Compensation = consent.CompensationNone
	}
	if i.Terms.Purposes == nil {
		i.Terms.Purposes = []string{}
	}
	if i.permits && !narrowed && len(i.Missing) == 0 {
		i.Decision = consent.Permit
	}
}

// narrows reports whether what stands at a path could make the consent permit less
// than the fields that were understood: a rule, a period, a modifier.
func narrows(path string) bool {
	for _, part := range []string{"Consent.provision", "Consent.period", "modifierExtension", "Consent.implicitRules"} {
		if strings.Contains(path, part) {
			return true
		}
	}
	return false
}
