package consent

// Status is FHIR's consent state (R4 and R5 together). Drafts are made off the
// ledger; the status stands here because an imported consent may have it and
// must not permit anything.
type Status string

// The statuses.
const (
	StatusDraft          Status = "draft"            // not on the ledger
	StatusProposed       Status = "proposed"         // being negotiated, nothing agreed
	StatusActive         Status = "active"           // agreed and in force
	StatusRejected       Status = "rejected"         // refused by the other side
	StatusInactive       Status = "inactive"         // withdrawn, revoked or expired
	StatusEnteredInError Status = "entered-in-error" // should never have been
)

// Reason says why a consent is inactive.
type Reason string

// The reasons.
const (
	ReasonWithdrawn Reason = "withdrawn" // its maker took back the offer before anything was agreed
	ReasonRevoked   Reason = "revoked"   // the patient ended it
	ReasonExpired   Reason = "expired"   // its period ended
)

// Side is a party of a negotiation.
type Side string

// The sides.
const (
	SidePatient Side = "patient"
	SideGrantee Side = "grantee"
)

// Who says which side may make a move.
type Who string

// Who makes a move.
const (
	ByPatient Who = "patient"
	ByGrantee Who = "grantee"
	ByEither  Who = "either side"
	ByAuthor  Who = "the side that made the open offer"
	ByOther   Who = "the side that did not make the open offer"
	ByTime    Who = "time"
)

// The transactions of the negotiation.
const (
	TxRequest  = "Request"
	TxCounter  = "Counter"
	TxAccept   = "Accept"
	TxReject   = "Reject"
	TxWithdraw = "Withdraw"
	TxRevoke   = "Revoke"
	TxRenew    = "Renew"
	TxError    = "MarkEnteredInError"
)

// Move is a line of the negotiation's table. From is "" for the status a consent
// begins in.
type Move struct {
	From Status
	To   Status
	By   string // transaction, or "" where only time passes
	Who  Who
	When string
}

// Moves is the table of all moves a consent can make. A renewal is a
// negotiation within a consent: its status changes only when the renewal is
// accepted.
func Moves() []Move {
	return []Move{
		{"", StatusProposed, TxRequest, ByGrantee, "the record takes new consents"},
		{StatusProposed, StatusProposed, TxCounter, ByEither, "there is an open offer"},
		{StatusProposed, StatusActive, TxAccept, ByOther, "the open offer has not expired"},
		{StatusProposed, StatusRejected, TxReject, ByOther, "there is an open offer"},
		{StatusProposed, StatusInactive, TxWithdraw, ByAuthor, "there is an open offer"},
		{StatusProposed, StatusInactive, TxRevoke, ByPatient, "at any time"},
		{StatusProposed, StatusEnteredInError, TxError, ByPatient, "at any time"},

		{StatusActive, StatusActive, TxRenew, ByEither, "there is no open offer"},
		{StatusActive, StatusActive, TxCounter, ByEither, "there is an open offer"},
		{StatusActive, StatusActive, TxAccept, ByOther, "the open offer has not expired: a new consent version"},
		{StatusActive, StatusActive, TxReject, ByOther, "there is an open offer: only the renewal ends"},
		{StatusActive, StatusActive, TxWithdraw, ByAuthor, "there is an open offer: only the renewal ends"},
		{StatusActive, StatusInactive, TxRevoke, ByPatient, "at any time"},
		{StatusActive, StatusInactive, "", ByTime, "the period has ended"},
		{StatusActive, StatusEnteredInError, TxError, ByPatient, "at any time"},

		{StatusInactive, StatusInactive, TxRenew, ByEither, "there was a consent version and there is no open offer"},
		{StatusInactive, StatusInactive, TxCounter, ByEither, "there is an open offer"},
		{StatusInactive, StatusActive, TxAccept, ByOther, "the open offer has not expired: a new consent version"},
		{StatusInactive, StatusInactive, TxReject, ByOther, "there is an open offer: only the renewal ends"},
		{StatusInactive, StatusInactive, TxWithdraw, ByAuthor, "there is an open offer: only the renewal ends"},
		{StatusInactive, StatusInactive, TxRevoke, ByPatient, "at any time: voids open offers"},
		{StatusInactive, StatusEnteredInError, TxError, ByPatient, "at any time"},

		{StatusRejected, StatusRejected, TxRevoke, ByPatient, "at any time: nothing changes"},
		{StatusRejected, StatusEnteredInError, TxError, ByPatient, "at any time"},
		{StatusEnteredInError, StatusEnteredInError, TxRevoke, ByPatient, "at any time: nothing changes"},
	}
}

// FindMove gives the table's line for a transaction by a side in a status. Author is
// the side that made the open offer, "" when none is open.
func FindMove(from Status, by string, side, author Side) (Move, bool) {
	for _, move := range Moves() {
		if move.From == from && move.By == by && by != "" && move.Who.includes(side, author) {
			return move, true
		}
	}
	return Move{}, false
}

// includes reports whether a side is the one that a line of the table asks for.
func (w Who) includes(side, author Side) bool {
	switch w {
	case ByPatient:
		return side == SidePatient
	case ByGrantee:
		return side == SideGrantee
	case ByEither:
		return side == SidePatient || side == SideGrantee
	case ByAuthor:
		return author != "" && side == author
	case ByOther:
		return author != "" && side != author
	default:
		return false
	}
}
