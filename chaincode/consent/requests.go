package consent

// The arguments and results of the transactions, one JSON object each.
type (
	// AskRequest is a grantee's request for a consent, with its first offer.
	AskRequest struct {
		Consent       string `json:"consent"`
		Record        string `json:"record"`
		Terms         Terms  `json:"terms"`
		PrivateDigest string `json:"private_digest" metadata:",optional"`
		Expires       int64  `json:"expires" metadata:",optional"`
	}
	// OfferRequest makes the next offer.
	OfferRequest struct {
		Consent       string `json:"consent"`
		Offer         int    `json:"offer"` // newest + 1
		Terms         Terms  `json:"terms"`
		PrivateDigest string `json:"private_digest" metadata:",optional"`
		Expires       int64  `json:"expires" metadata:",optional"`
	}
	// AcceptRequest accepts one exact offer.
	AcceptRequest struct {
		Consent string `json:"consent"`
		Offer   int    `json:"offer"`
		Digest  string `json:"digest"` // see Offer.Digest
	}
	// AnswerRequest rejects or withdraws an offer, or names one.
	AnswerRequest struct {
		Consent string `json:"consent"`
		Offer   int    `json:"offer"`
	}
	// RevokeRequest revokes all that was agreed and offered so far.
	RevokeRequest struct {
		Consent string `json:"consent"`
		Number  int    `json:"number"` // the patient's revocations of this consent before, + 1
	}
	// ConsentRequest names a consent.
	ConsentRequest struct {
		Consent string `json:"consent"`
	}
	// State is everything the public ledger knows of a consent.
	State struct {
		Consent    Consent     `json:"consent"` // as it is at the time of the query
		Revocation Revocation  `json:"revocation"`
		Offers     []Offer     `json:"offers"`     // oldest first
		Agreements []Agreement `json:"agreements"` // consent versions, oldest first
	}
	// Page is one page of consents.
	Page struct {
		Consents []Consent `json:"consents"` // as they are at the time of the query
		Bookmark string    `json:"bookmark"` // "" on the last page
	}

	// AccessRequest asks for one use of a consent.
	AccessRequest struct {
		Access  string `json:"access"` // chosen by the caller, see CheckAccessID
		Consent string `json:"consent"`
		Record  string `json:"record"`
		Version int    `json:"version"`
		Purpose string `json:"purpose"`
	}
	// GrantRequest names the grant that comes by transient.
	GrantRequest struct {
		Consent string `json:"consent"`
		Version int    `json:"version"`
	}
	// GrantInput is the transient part of PutGrant; all else the chaincode knows.
	GrantInput struct {
		Sealed string `json:"sealed"` // age file to the grantee, base64
	}
	// ReadGrantRequest names the access by which a grant is read.
	ReadGrantRequest struct {
		Access string `json:"access"`
	}
	// GrantDigest is the public hash of a grant.
	GrantDigest struct {
		Writer Writer `json:"writer"`
		Digest string `json:"digest"` // Digest of the Grant, as every peer has it
	}

	// AccessListRequest pages through accesses, newest first.
	AccessListRequest struct {
		By       string `json:"by"`                         // patient, record, grantee or all
		Value    string `json:"value" metadata:",optional"` // whose; "" with all
		From     int64  `json:"from" metadata:",optional"`  // Unix seconds, the first included; 0 for no bound
		Until    int64  `json:"until" metadata:",optional"` // Unix seconds, the last included; 0 for no bound
		Bookmark string `json:"bookmark" metadata:",optional"`
		PageSize int    `json:"page_size"`
	}
	// AccessPage is one page of accesses.
	AccessPage struct {
		Accesses []Access `json:"accesses"`
		Bookmark string   `json:"bookmark"` // "" on the last page
	}
)

// Event is the payload of the single event of every transaction on records,
// consents and accesses; the event's name is the transaction's, for instance
// "consent:Accept". It holds nothing private.
type Event struct {
	Record    string `json:"record"`
	Version   int    `json:"version"` // of the record, 0 where none is meant
	Consent   string `json:"consent"` // "" where none is meant
	Offer     int    `json:"offer"`   // 0 where none is meant
	Access    string `json:"access"`  // "" where none is meant
	Custodian string `json:"custodian"`
	Patient   string `json:"patient"`
	Grantee   string `json:"grantee"`
	Status    string `json:"status"` // after the transaction: of record or consent, or the decision on an access
	Code      string `json:"code"`   // why an access was denied, "" otherwise
	Actor     string `json:"actor"`  // "MSP/name"
}
