package consent

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/record"
)

// AccessSeconds is how long after its RequestAccess a permitted access may be
// read. Later uses are requested, and so logged, again.
const AccessSeconds = 600

// Access is one use of a consent, permitted or denied.
type Access struct {
	Access    string   `json:"access"` // opaque identifier, see CheckAccessID
	Consent   string   `json:"consent"`
	Agreement int      `json:"agreement"` // consent version that permitted it, 0 when denied
	Record    string   `json:"record"`
	Version   int      `json:"version"`
	Purpose   string   `json:"purpose"`
	Grantee   string   `json:"grantee"`   // "MSP/name" of who asked
	Patient   string   `json:"patient"`   // "MSP/pseudonym", "" when the consent is unknown
	Custodian string   `json:"custodian"` // MSP identifier, "" when the consent is unknown
	Decision  Decision `json:"decision"`
	Code      string   `json:"code"` // why it was denied, "" for a permit
	At        int64    `json:"at"`
	TxID      string   `json:"tx_id"`
}

// Grant is what a grantee needs to open one version, the CID of its ciphertext and the
// version's key among it, encrypted to the grantee before it is sent. It lies in the
// custodian's grants collection. No rule reads what is sealed: the grantee holds it
// against the version's [record.ContentDigest].
type Grant struct {
	Consent   string `json:"consent"`
	Agreement int    `json:"agreement"` // consent version it was made under
	Record    string `json:"record"`
	Version   int    `json:"version"`
	Grantee   string `json:"grantee"`
	Sealed    string `json:"sealed"` // age file, base64
	Writer    Writer `json:"writer"`
}

// Writer says who put a grant. Each has a key of its own, so that neither can
// spoil the other's.
type Writer string

// The writers of grants.
const (
	WriterCustodian Writer = "custodian"
	WriterPatient   Writer = "patient"
)

// Writers lists the writers of grants.
func Writers() []Writer { return []Writer{WriterCustodian, WriterPatient} }

// RequestAccess decides one use of a consent, fail closed, and logs the permit or
// the denial with its code: a denial is a success of this transaction. Caller: a
// requester.
func RequestAccess(l Ledger, call consortium.Call, request AccessRequest) (Access, Change, error) {
	if err := call.MustBe(consortium.RoleRequester); err != nil {
		return Access{}, Change{}, err
	}
	if err := checkAccessRequest(request); err != nil {
		return Access{}, Change{}, err
	}
	access, found, err := l.Access(request.Access)
	switch {
	case err != nil:
		return Access{}, Change{}, err
	case found && (access.Grantee != call.ID || access.request() != request):
		return Access{}, Change{}, codes.Errorf("MF-ACCESS-EXISTS", "there is another access of that identifier; draw a new one")
	case found:
		return access, Change{Event: access.event()}, nil
	}
	access, err = decide(l, call, request)
	return access, Change{Access: &access, Event: access.event()}, err
}

// checkAccessRequest refuses a request that could not be logged without letting
// any text into the log.
func checkAccessRequest(request AccessRequest) error {
	for _, err := range []error{CheckAccessID(request.Access), CheckConsentID(request.Consent), record.CheckRecordID(request.Record)} {
		if err != nil {
			return err
		}
	}
	if !IsPurpose(request.Purpose) {
		return codes.Errorf("MF-TERMS-PURPOSE", "the purpose is no code of HL7's PurposeOfUse; use one of the codes that medfed lists, for instance HRESCH")
	}
	return nil
}

// decide finds what a use of a consent comes to.
func decide(l Ledger, call consortium.Call, request AccessRequest) (Access, error) {
	rec, _, err := l.Record(request.Record)
	if err != nil {
		return Access{}, err
	}
	_, known, err := l.Parties(request.Consent)
	if err != nil {
		return Access{}, err
	}
	var given Consent
	if known {
		if given, _, err = FindConsent(l, request.Consent); err != nil {
			return Access{}, err
		}
	}
	return Decide(given, rec, request, call.ID, call.TxID, call.At, call.Window), nil
}

// StillPermitted finds a permitted access and asks the rules again: what was
// permitted may have been revoked or have expired since. Caller: the grantee who
// requested it.
func StillPermitted(l Ledger, call consortium.Call, id string) (Access, error) {
	if err := call.MustBe(consortium.RoleRequester); err != nil {
		return Access{}, err
	}
	access, err := FindAccess(l, id)
	if err != nil {
		return access, err
	}
	switch {
	case access.Grantee != call.ID:
		return access, codes.Errorf("MF-ACCESS-DENIED", "%s did not request this access; request your own", call.ID)
	case access.Decision != Permit:
		return access, codes.Errorf("MF-ACCESS-DENIED", "the access was denied (%s); see the consent", access.Code)
	case reached(access.At+AccessSeconds, call.At, call.Window):
		return access, codes.Errorf("MF-ACCESS-OLD", "the access was requested more than %d seconds ago; request it again", AccessSeconds-call.Window)
	}
	again, err := decide(l, call, access.request())
	switch {
	case err != nil:
		return access, err
	case again.Decision != Permit:
		return access, codes.Errorf(codes.Code(again.Code), "the consent permits this no longer; see the consent")
	case again.Agreement != access.Agreement:
		return access, codes.Errorf("MF-ACCESS-OLD", "the consent has been renewed since; request the access again")
	}
	return access, nil
}

// request is what the grantee asked for.
func (a Access) request() AccessRequest {
	return AccessRequest{Access: a.Access, Consent: a.Consent, Record: a.Record, Version: a.Version, Purpose: a.Purpose}
}

func (a Access) event() record.Event {
	return record.Event{
		Record: a.Record, Version: a.Version, Consent: a.Consent, Access: a.Access,
		Custodian: a.Custodian, Patient: a.Patient, Grantee: a.Grantee,
		Status: string(a.Decision), Code: a.Code, Actor: a.Grantee,
	}
}

// Grantable is a version that a consent lets its grantee have: the public part of a
// grant, which Grant completes.
type Grantable struct {
	Consent Consent
	Version record.Version
	Writer  Writer
}

// PutGrant lets what the grantee needs to open one version into the custodian's
// collection, while the consent permits it. Caller: an officer of the custodian, or
// the patient, who holds a wrap of the key too.
func PutGrant(l Ledger, call consortium.Call, request GrantRequest) (Grantable, Change, error) {
	_, rec, err := findDecided(l, call, request.Consent)
	if err != nil {
		return Grantable{}, Change{}, err
	}
	given, err := inForce(l, call, rec, request)
	if err != nil {
		return Grantable{}, Change{}, err
	}
	grantable := Grantable{Consent: given, Writer: WriterCustodian}
	if call.Role == consortium.RolePatient {
		grantable.Writer = WriterPatient
	}
	grantable.Version, err = record.FindVersion(l, given.Record, request.Version)
	change := Change{Consent: given.Consent, Event: given.event(call, given.Status, 0)}
	change.Event.Version = request.Version
	return grantable, change, err
}

// inForce reads a consent that permits its grantee a version for one of its
// purposes.
func inForce(l Ledger, call consortium.Call, rec record.Record, request GrantRequest) (Consent, error) {
	given, _, err := FindConsent(l, request.Consent)
	if err != nil {
		return given, err
	}
	use := Use{Grantee: given.Grantee, Record: rec.Record, Version: request.Version}
	if given.Agreement != nil && len(given.Agreement.Terms.Purposes) > 0 {
		use.Purpose = given.Agreement.Terms.Purposes[0]
	}
	decision, code := Permits(given, rec, use, max(call.At, given.ChangedAt), call.Window)
	if decision != Permit && code != "MF-CONSENT-NOT-STARTED" { // a grant may be put before its period begins
		return given, codes.Errorf(code, "the consent permits its grantee nothing of version %d; grant what is agreed", request.Version)
	}
	return given, nil
}

// Grant completes a grant with what came by transient, see [record.CheckSealed].
func (g Grantable) Grant(input GrantInput) Grant {
	return Grant{
		Consent: g.Consent.Consent, Agreement: g.Consent.Agreement.Version, Record: g.Consent.Record, Version: g.Version.Version,
		Grantee: g.Consent.Grantee, Sealed: input.Sealed, Writer: g.Writer,
	}
}

// PurgeGrants lets the grants and private terms of a consent be removed that
// permits nothing any more. Caller: an officer of the custodian, or the patient.
func PurgeGrants(l Ledger, call consortium.Call, request ConsentRequest) (record.Record, Change, error) {
	parties, rec, err := findDecided(l, call, request.Consent)
	if err != nil {
		return rec, Change{}, err
	}
	given, _, err := FindConsent(l, request.Consent)
	if err != nil {
		return rec, Change{}, err
	}
	// Expired beyond doubt: the window is taken away, not added.
	status := given.Seen(max(call.At, given.ChangedAt), -call.Window).Status
	if status == StatusActive || given.Open != 0 {
		return rec, Change{}, codes.Errorf("MF-CONSENT-STATUS", "the consent is %s with %d open offers; what is in force or on the table is not purged", status, min(given.Open, 1))
	}
	return rec, Change{Consent: parties.Consent, Event: parties.event(call, status, 0)}, nil
}
