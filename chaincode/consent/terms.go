package consent

import (
	"slices"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/record"
)

// ScopeKind says which versions of a record a consent is for: Salim & Park's
// version limit (section II.A).
type ScopeKind string

// The kinds of scope.
const (
	ScopeThis      ScopeKind = "this"       // one version only
	ScopeUpTo      ScopeKind = "up-to"      // all versions up to one, that one included
	ScopeAllFuture ScopeKind = "all-future" // all versions there are and will be
)

// Scope is the versions of a record that a consent is for.
type Scope struct {
	Kind    ScopeKind `json:"kind"`
	Version int       `json:"version"` // the version of this and up-to; 0 for all-future
}

// Covers reports whether a version is in the scope. An unknown kind covers nothing.
func (s Scope) Covers(version int) bool {
	switch s.Kind {
	case ScopeThis:
		return version >= 1 && version == s.Version
	case ScopeUpTo:
		return version >= 1 && version <= s.Version
	case ScopeAllFuture:
		return version >= 1
	default:
		return false
	}
}

// Period is when a consent holds, in Unix seconds.
type Period struct {
	From  int64 `json:"from"`  // 0: from the acceptance on
	Until int64 `json:"until"` // the expiry; from then on nothing is permitted
}

// Compensation is what the grantee gives in return. How much or what exactly is
// in the private part of the terms.
type Compensation string

// The kinds of compensation.
const (
	CompensationNone  Compensation = "none"
	CompensationMoney Compensation = "money" // for instance a subsidy of a hospital bill
	CompensationCare  Compensation = "care"  // for instance a future treatment
)

// Terms are the public part of what is agreed on.
type Terms struct {
	Scope        Scope        `json:"scope"`
	Period       Period       `json:"period"`
	Purposes     []string     `json:"purposes"` // HL7 PurposeOfUse codes, sorted
	Compensation Compensation `json:"compensation"`
}

// SealedTerms are an offer's [PrivateTerms] as the custodian's grants collection holds
// them, encrypted to the patient and the grantee. Their digest is in the offer; no rule
// reads what is in them, so each side reads them before it accepts.
type SealedTerms struct {
	Consent string `json:"consent"`
	Offer   int    `json:"offer"`
	Sealed  string `json:"sealed"` // age file, base64
}

// PrivateTerms are what only the two sides see of an offer.
type PrivateTerms struct {
	Consent  string `json:"consent"`
	Offer    int    `json:"offer"`
	Amount   int64  `json:"amount"`   // of money in the currency's smallest unit, 0 for none
	Currency string `json:"currency"` // ISO 4217, "" for none
	Care     string `json:"care"`     // what care is given, "" for none
	Note     string `json:"note"`     // anything else that is agreed, may be ""
}

// MaxPeriod is the longest a consent may hold, in seconds: ten years.
const MaxPeriod = 3653 * 24 * 3600

// CheckTerms refuses terms that mean nothing at a time: an unknown word, a
// period that is over, reversed or without end.
func CheckTerms(t Terms, at, window int64) error {
	if err := checkScope(t.Scope); err != nil {
		return err
	}
	if err := checkPeriod(t.Period, at, window); err != nil {
		return err
	}
	if len(t.Purposes) == 0 || !slices.Equal(t.Purposes, form.SortedOnce(t.Purposes)) {
		return codes.Errorf("MF-TERMS-PURPOSE", "the purposes are not one or more different codes in sorted order; name what the data is for")
	}
	for _, purpose := range t.Purposes {
		if !IsPurpose(purpose) {
			return codes.Errorf("MF-TERMS-PURPOSE", "a purpose is no code of HL7's PurposeOfUse; use one of the codes that medfed lists, for instance HRESCH")
		}
	}
	switch t.Compensation {
	case CompensationNone, CompensationMoney, CompensationCare:
		return nil
	default:
		return codes.Errorf("MF-TERMS-COMPENSATION", "the compensation is neither none nor money nor care; use one of them")
	}
}

func checkScope(s Scope) error {
	switch {
	case s.Kind == ScopeAllFuture && s.Version == 0:
	case (s.Kind == ScopeThis || s.Kind == ScopeUpTo) && s.Version >= 1 && s.Version <= record.MaxVersions:
	default:
		return codes.Errorf("MF-TERMS-SCOPE", "the scope is neither this nor up-to with a version from 1 nor all-future with version 0; choose one")
	}
	return nil
}

func checkPeriod(p Period, at, window int64) error {
	switch {
	case p.From < 0 || p.Until <= p.From:
		return codes.Errorf("MF-TERMS-PERIOD", "the period does not end after it begins; send from and until in Unix seconds")
	case reached(p.Until, at, window):
		return codes.Errorf("MF-TERMS-PERIOD", "the period is over, or will be within the peers' time window of %d seconds; choose a later end", window)
	case p.Until-at > MaxPeriod:
		return codes.Errorf("MF-TERMS-PERIOD", "the period ends more than %d days from now; choose an earlier end and renew", MaxPeriod/86400)
	}
	return nil
}

// reached reports whether a moment may have come at a time that is known to within
// the window only.
func reached(moment, at, window int64) bool { return at >= moment-window }

// CheckPrivateTerms refuses private terms that don't fit the public ones. Its
// errors say nothing of what is in them.
func CheckPrivateTerms(p PrivateTerms, public Compensation) error {
	money := p.Amount > 0 && isCurrency(p.Currency)
	noMoney := p.Amount == 0 && p.Currency == ""
	var fits bool
	switch public {
	case CompensationMoney:
		fits = money && p.Care == ""
	case CompensationCare:
		fits = noMoney && form.IsText(p.Care, 1, MaxText)
	case CompensationNone:
		fits = noMoney && p.Care == ""
	}
	switch {
	case !fits:
		return codes.Errorf("MF-PRIVATE-INVALID", "amount, currency and care are not what the compensation %s of the offer needs; send the private terms the offer was made with", public)
	case !form.IsText(p.Note, 0, MaxText):
		return codes.Errorf("MF-PRIVATE-INVALID", "the note is not a text of at most %d bytes; shorten it", MaxText)
	}
	return nil
}

func isCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for i := 0; i < len(code); i++ {
		if code[i] < 'A' || code[i] > 'Z' {
			return false
		}
	}
	return true
}
