package consent

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

// Grant is what a grantee needs to open one version: the CID of its ciphertext
// and the version's key. It lies in the custodian's grants collection.
type Grant struct {
	Consent     string `json:"consent"`
	Agreement   int    `json:"agreement"` // consent version it was made under
	Record      string `json:"record"`
	Version     int    `json:"version"`
	Grantee     string `json:"grantee"`
	CID         string `json:"cid"`
	PlainDigest string `json:"plain_digest"` // SHA-256 of the plain file
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"` // of the ciphertext in bytes
	Wrap        string `json:"wrap"` // the version's key, encrypted to the grantee; base64
	Salt        string `json:"salt"` // 32 random bytes, 64 hexadecimal digits
	Writer      Writer `json:"writer"`
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
