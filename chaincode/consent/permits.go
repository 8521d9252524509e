package consent

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/record"
)

// Use is what a grantee wants to do.
type Use struct {
	Grantee string // who asks, from the certificate
	Record  string
	Version int
	Purpose string // HL7 PurposeOfUse code
}

// Permits decides one use of a consent at a time that is known to within window
// seconds. It fails closed: whatever is not clearly permitted is denied, with
// the code that says why; the code of a permit is "".
func Permits(c Consent, r record.Record, use Use, at, window int64) (Decision, codes.Code) {
	for _, rule := range []codes.Code{
		whoAndWhat(c, r, use),
		statusPermits(c),
		termsPermit(c, use, at, window),
		versionExists(r, use),
	} {
		if rule != "" {
			return Deny, rule
		}
	}
	return Permit, ""
}

// Decide makes the access that a grantee's request comes to at a time. Given is
// the consent as Assemble makes it, empty where there is none of that identifier.
func Decide(given Consent, r record.Record, request AccessRequest, grantee, txID string, now, window int64) Access {
	at := max(now, given.ChangedAt)
	use := Use{Grantee: grantee, Record: request.Record, Version: request.Version, Purpose: request.Purpose}
	decision, code := Permits(given, r, use, at, window)
	access := Access{
		Access: request.Access, Consent: request.Consent, Record: request.Record, Version: request.Version, Purpose: request.Purpose,
		Grantee: grantee, Patient: given.Patient, Custodian: given.Custodian, Decision: decision, Code: string(code), At: at, TxID: txID,
	}
	if decision == Permit {
		access.Agreement = given.Agreement.Version
	}
	return access
}

func whoAndWhat(c Consent, r record.Record, use Use) codes.Code {
	switch {
	case c.Consent == "":
		return "MF-CONSENT-UNKNOWN"
	case use.Grantee == "" || use.Grantee != c.Grantee:
		return "MF-CONSENT-OTHER-GRANTEE"
	case use.Record == "" || use.Record != c.Record || r.Record != c.Record:
		return "MF-CONSENT-OTHER-RECORD"
	case !r.Status.Accessible():
		return "MF-RECORD-ERASED"
	default:
		return ""
	}
}

func statusPermits(c Consent) codes.Code {
	switch {
	case c.Status == StatusInactive && c.Reason == ReasonRevoked:
		return "MF-CONSENT-REVOKED"
	case c.Status == StatusInactive && c.Reason == ReasonExpired:
		return "MF-CONSENT-EXPIRED"
	case c.Status == StatusEnteredInError:
		return "MF-CONSENT-ENTERED-IN-ERROR"
	case c.Status != StatusActive:
		return "MF-CONSENT-NOT-ACTIVE"
	case c.Agreement == nil || c.Agreement.Decision != Permit:
		return "MF-CONSENT-NO-DECISION"
	case c.Agreement.Revocations != c.Revocations:
		return "MF-CONSENT-REVOKED"
	default:
		return ""
	}
}

func termsPermit(c Consent, use Use, at, window int64) codes.Code {
	if c.Agreement == nil {
		return "MF-CONSENT-NO-DECISION"
	}
	terms := c.Agreement.Terms
	purpose := false
	for _, code := range terms.Purposes {
		purpose = purpose || code == use.Purpose
	}
	switch {
	case terms.Period.From != 0 && at-window < terms.Period.From:
		return "MF-CONSENT-NOT-STARTED"
	case reached(terms.Period.Until, at, window):
		return "MF-CONSENT-EXPIRED"
	case use.Purpose == "" || !purpose:
		return "MF-CONSENT-OTHER-PURPOSE"
	case !terms.Scope.Covers(use.Version):
		return "MF-CONSENT-OUT-OF-SCOPE"
	default:
		return ""
	}
}

func versionExists(r record.Record, use Use) codes.Code {
	if use.Version < 1 || use.Version > r.Versions {
		return "MF-VERSION-UNKNOWN"
	}
	return ""
}
