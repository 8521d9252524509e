// Package fhir speaks HL7 FHIR's Consent for medfed: Export writes a consent of
// the ledger as a Consent resource of FHIR R4 or R5, Validate holds a resource
// against the element tables of the specification, and Import reads a Consent
// made elsewhere and says of every field where it went, or why medfed has no
// place for it.
//
// What an exported resource says, and where:
//
//	medfed           R4                                  R5
//	patient          patient, performer                  subject, grantor
//	grantee          provision.provision.actor (IRCP)    grantee, provision.actor (IRCP)
//	custodian        organization                        controller
//	status           status                              status, see statusR5
//	purposes         provision.provision.purpose         provision.purpose
//	period           provision.period                    period, provision.period
//	record, scope    provision.provision.data            provision.data
//	decision         policyRule OPTOUT, nested permit    decision deny, provision
//	compensation     extension consent-compensation      the same
//	offers           extension consent-offer             the same
//	agreements       extension consent-agreement         the same
//	why inactive     extension consent-status-reason     the same
//
// Both releases deny by default and permit in one rule: a reader that overlooks
// the rule denies. Tests have independent validators look at exports, see .ci/fhir.
// Sources: https://hl7.org/fhir/R4/consent.html and
// https://hl7.org/fhir/R5/consent.html.
package fhir

import (
	"github.com/medfed/medfed/chaincode/codes"
)

// Release is a release of FHIR.
type Release string

// The releases that medfed writes and reads.
const (
	R4 Release = "r4" // 4.0.1
	R5 Release = "r5" // 5.0.0
)

// Releases lists the releases.
func Releases() []Release { return []Release{R4, R5} }

// checkRelease refuses a release without tables.
func checkRelease(r Release) error {
	if r == R4 || r == R5 {
		return nil
	}
	return codes.Errorf("MF-FHIR-RELEASE", "%q is no release of FHIR that medfed knows; use r4 or r5", string(r))
}

// base begins every identifier system and extension of medfed.
const base = "https://github.com/medfed/medfed/fhir/"

// Systems of identifiers.
const (
	systemConsent      = base + "consent"
	systemIdentity     = base + "identity"     // "MSP/name"
	systemOrganisation = base + "organisation" // MSP identifier
	systemRecord       = base + "record"
	systemVersion      = base + "record-version" // record, "/", version
)

// URLs of extensions.
const (
	extensionCompensation = base + "StructureDefinition/consent-compensation"
	extensionOffer        = base + "StructureDefinition/consent-offer"
	extensionAgreement    = base + "StructureDefinition/consent-agreement"
	extensionReason       = base + "StructureDefinition/consent-status-reason"
	// extensionUpTo narrows a record to its versions up to a number. It is a
	// modifier: who does not know it must not use the rule it stands in.
	extensionUpTo = base + "StructureDefinition/consent-up-to-version"
)

// Code systems and codes of HL7, LOINC.
const (
	systemScope         = "http://terminology.hl7.org/CodeSystem/consentscope"
	systemActCode       = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	systemActReason     = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	systemParticipation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	systemAction        = "http://terminology.hl7.org/CodeSystem/consentaction"
	systemLOINC         = "http://loinc.org"

	codePrivacy         = "patient-privacy"
	codeConsentDocument = "59284-0"
	codeOptOut          = "OPTOUT"
	codeRecipient       = "IRCP"   // information recipient
	codePrimary         = "PRCP"   // primary information recipient
	codeCustodian       = "CST"    // custodian
	codeAccess          = "access" // the one thing medfed permits
)

// The data types of FHIR that an export is made of. Fields follow the order of
// the specification; only what medfed writes is here.
type (
	identifier struct {
		System string `json:"system"`
		Value  string `json:"value"`
	}
	coding struct {
		System string `json:"system"`
		Code   string `json:"code"`
	}
	concept struct {
		Coding []coding `json:"coding"`
	}
	reference struct {
		Type       string     `json:"type"`
		Identifier identifier `json:"identifier"`
	}
	period struct {
		Start string `json:"start,omitempty"`
		End   string `json:"end,omitempty"`
	}
	narrative struct {
		Status string `json:"status"`
		Div    string `json:"div"`
	}
	meta struct {
		VersionID   string `json:"versionId,omitempty"`
		LastUpdated string `json:"lastUpdated"`
	}
	extension struct {
		Extension []extension `json:"extension,omitempty"`
		URL       string      `json:"url"`
		Code      string      `json:"valueCode,omitempty"`
		String    string      `json:"valueString,omitempty"`
		DateTime  string      `json:"valueDateTime,omitempty"`
		Number    int         `json:"valuePositiveInt,omitempty"`
		Coding    *coding     `json:"valueCoding,omitempty"`
		Period    *period     `json:"valuePeriod,omitempty"`
		Reference *reference  `json:"valueReference,omitempty"`
	}
	actor struct {
		Role      concept   `json:"role"`
		Reference reference `json:"reference"`
	}
	data struct {
		ModifierExtension []extension `json:"modifierExtension,omitempty"`
		Meaning           string      `json:"meaning"`
		Reference         reference   `json:"reference"`
	}
	rule struct {
		Type      string    `json:"type,omitempty"` // R4, below the root only
		Period    *period   `json:"period,omitempty"`
		Actor     []actor   `json:"actor,omitempty"`
		Action    []concept `json:"action,omitempty"`
		Purpose   []coding  `json:"purpose,omitempty"`
		Data      []data    `json:"data,omitempty"`
		Provision []rule    `json:"provision,omitempty"`
	}
	head struct {
		ResourceType string       `json:"resourceType"`
		ID           string       `json:"id"`
		Meta         meta         `json:"meta"`
		Text         narrative    `json:"text"`
		Extension    []extension  `json:"extension,omitempty"`
		Identifier   []identifier `json:"identifier"`
		Status       string       `json:"status"`
	}
	consentR4 struct {
		head
		Scope        concept     `json:"scope"`
		Category     []concept   `json:"category"`
		Patient      reference   `json:"patient"`
		DateTime     string      `json:"dateTime"`
		Performer    []reference `json:"performer"`
		Organization []reference `json:"organization"`
		PolicyRule   concept     `json:"policyRule"`
		Provision    rule        `json:"provision"`
	}
	consentR5 struct {
		head
		Category   []concept   `json:"category"`
		Subject    reference   `json:"subject"`
		Date       string      `json:"date"`
		Period     *period     `json:"period,omitempty"`
		Grantor    []reference `json:"grantor"`
		Grantee    []reference `json:"grantee"`
		Controller []reference `json:"controller"`
		Decision   string      `json:"decision"`
		Provision  []rule      `json:"provision"`
	}
)

func conceptOf(system, code string) concept { return concept{[]coding{{system, code}}} }

func referenceTo(kind, system, value string) reference {
	return reference{kind, identifier{system, value}}
}
