package consent

// The arguments and results of the transactions, one JSON object each.
type (
	// RecordRequest names a record.
	RecordRequest struct {
		Record string `json:"record"`
	}
	// ErasureRequest asks for the erasure of a record.
	ErasureRequest struct {
		Record  string   `json:"record"`
		Members []string `json:"members" metadata:",optional"` // that must attest besides the holders; MSP identifiers, sorted
	}
	// VersionRequest names a version of a record.
	VersionRequest struct {
		Record  string `json:"record"`
		Version int    `json:"version"`
	}
	// Staged is what the collection holds after Stage.
	Staged struct {
		Record  string `json:"record"`
		Version int    `json:"version"`
		Digest  string `json:"digest"` // of the private part, for Register or AddVersion
	}
	// RegisterRequest registers a record with its version 1.
	RegisterRequest struct {
		Record  string   `json:"record"`
		Kind    Kind     `json:"kind"`
		Patient string   `json:"patient"` // the pseudonym the patient is enrolled under with the custodian
		Digest  string   `json:"digest"`  // of the staged private part
		Size    int64    `json:"size"`    // of the ciphertext in bytes
		Holders []string `json:"holders"` // members that pin it, sorted
	}
	// AddVersionRequest adds the version after the newest.
	AddVersionRequest struct {
		Record  string   `json:"record"`
		Version int      `json:"version"`
		Digest  string   `json:"digest"`
		Size    int64    `json:"size"`
		Holders []string `json:"holders"`
	}
	// PageRequest pages through a list.
	PageRequest struct {
		By       string `json:"by"`    // which list, see the transaction
		Value    string `json:"value"` // whose entries
		Bookmark string `json:"bookmark" metadata:",optional"`
		PageSize int    `json:"page_size"`
	}
	// VersionsRequest pages through the versions of a record, oldest first.
	VersionsRequest struct {
		Record   string `json:"record"`
		Bookmark string `json:"bookmark" metadata:",optional"`
		PageSize int    `json:"page_size"`
	}
	// RecordPage is one page of records.
	RecordPage struct {
		Records  []Record `json:"records"`
		Bookmark string   `json:"bookmark"` // "" on the last page
	}
	// VersionPage is one page of versions.
	VersionPage struct {
		Versions []Version `json:"versions"`
		Bookmark string    `json:"bookmark"` // "" on the last page
	}

	// PublishRequest publishes the caller's age recipient.
	PublishRequest struct {
		Number    int    `json:"number"` // of the entry: the newest + 1
		Recipient string `json:"recipient"`
	}
	// RetireRequest retires an entry of the caller's organisation.
	RetireRequest struct {
		Role   string `json:"role"`
		Name   string `json:"name"`   // without the MSP
		Number int    `json:"number"` // of the entry that retires it: the newest + 1
	}
	// RecipientRequest names an entry of the directory.
	RecipientRequest struct {
		Identity string `json:"identity"` // "MSP/name"
		Role     string `json:"role"`
	}
	// OfficersRequest pages through the entries of a hospital's officers, by name.
	OfficersRequest struct {
		MSP      string `json:"msp"`
		Bookmark string `json:"bookmark" metadata:",optional"`
		PageSize int    `json:"page_size"`
	}
	// RecipientPage is one page of the directory.
	RecipientPage struct {
		Recipients []Recipient `json:"recipients"`
		Bookmark   string      `json:"bookmark"` // "" on the last page
	}
	// HospitalKeyRequest names the hospital's key that comes by transient.
	HospitalKeyRequest struct {
		Number int `json:"number"`
	}
	// HospitalKeyDigest is the public hash of a hospital's key.
	HospitalKeyDigest struct {
		Number int    `json:"number"`
		Digest string `json:"digest"` // Digest of the HospitalKey
	}
	// HospitalRequest names a hospital.
	HospitalRequest struct {
		MSP string `json:"msp"`
	}

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
		Wrap string `json:"wrap"`
		Salt string `json:"salt"`
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
	// Purged says what a purge removed.
	Purged struct {
		Keys []string `json:"keys"` // private keys whose values were purged, none of them private itself
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
	// HistoryRequest names a key by its object and parts, as the table of keys
	// in package ledger writes it; numbers without padding.
	HistoryRequest struct {
		Object string   `json:"object"`
		Parts  []string `json:"parts"`
	}
	// HistoryEntry is one committed value of a key. The block is found from the
	// transaction by the peer's own query, qscc:GetBlockByTxID.
	HistoryEntry struct {
		TxID      string `json:"tx_id"`
		Timestamp int64  `json:"timestamp"` // Unix seconds, the client's claim within the peers' time window
		Deleted   bool   `json:"deleted"`
		By        string `json:"by"`    // who made the change, as the document says; "" where only the transaction does
		Value     string `json:"value"` // the document as stored
	}
	// History is the committed values of a key, oldest first.
	History struct {
		Key     string         `json:"key"`
		Entries []HistoryEntry `json:"entries"`
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
