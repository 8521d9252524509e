package record

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
		Patient string   `json:"patient"`                             // the pseudonym the patient is enrolled under with the custodian
		Digest  string   `json:"digest"`                              // of the staged private part
		Content string   `json:"content_digest" metadata:",optional"` // see ContentDigest
		Size    int64    `json:"size"`                                // of the ciphertext in bytes
		Holders []string `json:"holders"`                             // members that pin it, sorted
	}
	// AddVersionRequest adds the version after the newest.
	AddVersionRequest struct {
		Record  string   `json:"record"`
		Version int      `json:"version"`
		Digest  string   `json:"digest"`
		Content string   `json:"content_digest" metadata:",optional"` // see ContentDigest
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
	// Purged says what a purge removed.
	Purged struct {
		Keys []string `json:"keys"` // private keys whose values were purged, none of them private itself
	}
)
