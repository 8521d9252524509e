package consent

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

// Limits of what a record or a consent may hold.
const (
	MaxSize      = 1 << 40 // bytes of a version's ciphertext
	MaxHolders   = 64
	MaxVersions  = 1_000_000
	MaxWrap      = 4096 // characters of a wrapped key in base64
	MaxText      = 1024 // bytes of a free text in the private part of terms
	maxShortText = 256  // bytes of an identifier or media type
)

// The opaque identifiers: a letter, a hyphen and random bytes in hexadecimal.
// They stand in public keys for ever, so a name that says something is refused.
const (
	RecordPrefix  = "r-"
	ConsentPrefix = "c-"
	AccessPrefix  = "a-"
	PatientPrefix = "p-"
	idDigits      = 32 // 16 random bytes
)

// CheckRecordID refuses what is not "r-" and 32 hexadecimal digits.
func CheckRecordID(id string) error { return checkID("record", RecordPrefix, id) }

// CheckConsentID refuses what is not "c-" and 32 hexadecimal digits.
func CheckConsentID(id string) error { return checkID("consent", ConsentPrefix, id) }

// CheckAccessID refuses what is not "a-" and 32 hexadecimal digits.
func CheckAccessID(id string) error { return checkID("access", AccessPrefix, id) }

func checkID(what, prefix, id string) error {
	if digits, ok := strings.CutPrefix(id, prefix); ok && isHex(digits, idDigits) {
		return nil
	}
	return codes.Errorf("MF-IDENTIFIER-OPAQUE", "the identifier of the %s is not %s and %d random hexadecimal digits; public identifiers must say nothing", what, prefix, idDigits)
}

// CheckPseudonym refuses a patient's name that is not "p-" and 32 hexadecimal
// digits. A patient's name is the common name of the certificate and so stands
// in every block the patient signs: it must say nothing.
func CheckPseudonym(name string) error {
	if digits, ok := strings.CutPrefix(name, PatientPrefix); ok && isHex(digits, idDigits) {
		return nil
	}
	return codes.Errorf("MF-PATIENT-PSEUDONYM", "the patient's name is not %s and %d random hexadecimal digits; enrol the patient under a pseudonym", PatientPrefix, idDigits)
}

func isHex(text string, digits int) bool {
	if len(text) != digits {
		return false
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// CheckKind refuses what is no kind of Hu et al. Table 1.
func CheckKind(kind Kind) error {
	if slices.Contains(Kinds(), kind) {
		return nil
	}
	return codes.Errorf("MF-RECORD-KIND", "the kind of record is not known; use one of %s", joined(Kinds()))
}

// CheckVersion refuses a public part that no version can have: a digest that is
// none, a size out of range, holders that are not two members or more, sorted,
// the custodian among them. Two nodes hold every file before the ledger hears of it.
func CheckVersion(v Version, custodian string) error {
	if !fl.IsHex32(v.Digest) {
		return codes.Errorf("MF-RECORD-DIGEST", "the digest is not 64 lower-case hexadecimal digits; send the digest of the staged private part")
	}
	if v.Size < 1 || v.Size > MaxSize {
		return codes.Errorf("MF-RECORD-SIZE", "the size %d is not from 1 to %d; send the length of the ciphertext in bytes", v.Size, int64(MaxSize))
	}
	if len(v.Holders) < 2 || len(v.Holders) > MaxHolders || !slices.Equal(v.Holders, sortedOnce(v.Holders)) {
		return codes.Errorf("MF-RECORD-HOLDERS", "the holders are not 2 to %d different MSP identifiers in sorted order; pin the ciphertext on two members' nodes first", MaxHolders)
	}
	if !slices.Contains(v.Holders, custodian) {
		return codes.Errorf("MF-RECORD-HOLDERS", "the custodian %s is not among the holders; pin the ciphertext on your own node first", custodian)
	}
	return nil
}

// CheckMembers refuses members that are not distinct MSP identifiers in sorted
// order. There may be none.
func CheckMembers(members []string) error {
	valid := len(members) <= MaxHolders && slices.Equal(members, sortedOnce(members))
	for _, member := range members {
		valid = valid && isText(member, 1, maxShortText) && !strings.Contains(member, "/")
	}
	if !valid {
		return codes.Errorf("MF-ERASURE-MEMBERS", "the members are not up to %d different MSP identifiers in sorted order; name those that have a node of the private IPFS", MaxHolders)
	}
	return nil
}

// CheckPrivateVersion refuses a private part that is not whole. Its errors say
// nothing of what is in it.
func CheckPrivateVersion(v PrivateVersion) error {
	if err := CheckRecordID(v.Record); err != nil {
		return err
	}
	switch {
	case v.Version < 1 || v.Version > MaxVersions:
		return codes.Errorf("MF-VERSION-NUMBER", "the version is not from 1 to %d; versions are counted from 1", MaxVersions)
	case !fl.IsHex32(v.Salt) || !fl.IsHex32(v.PlainDigest):
		return codes.Errorf("MF-PRIVATE-INVALID", "salt or plain_digest is not 64 lower-case hexadecimal digits; send 32 random bytes and the SHA-256 of the plain file")
	case fl.CheckCID(v.CID) != nil:
		return codes.Errorf("MF-PRIVATE-INVALID", "the CID is not a canonical CIDv1 of a file; send it in lower-case base32, as ipfs cid base32 gives it")
	case !isText(v.ContentType, 1, maxShortText) || !isText(v.PatientIdentifier, 1, maxShortText):
		return codes.Errorf("MF-PRIVATE-INVALID", "content_type or patient_identifier is not a text of 1 to %d bytes; send both", maxShortText)
	case !isWrap(v.CustodianWrap) || !isWrap(v.PatientWrap):
		return codes.Errorf("MF-PRIVATE-INVALID", "a wrapped key is not base64 of at most %d characters; wrap the key for the custodian and for the patient", MaxWrap)
	}
	return nil
}

// CheckWrap refuses what can't be a wrapped key.
func CheckWrap(wrap string) error {
	if !isWrap(wrap) {
		return codes.Errorf("MF-PRIVATE-INVALID", "the wrapped key is not base64 of at most %d characters; encrypt the record's key to the grantee", MaxWrap)
	}
	return nil
}

func isWrap(text string) bool { return isBase64(text, MaxWrap) }

func isBase64(text string, most int) bool {
	if text == "" || len(text) > most {
		return false
	}
	_, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && !strings.ContainsAny(text, "\r\n")
}

// isText tells whether a text has least to most bytes, all of them printable.
func isText(text string, least, most int) bool {
	if len(text) < least || len(text) > most || !utf8.ValidString(text) {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Digest is the SHA-256 of a document as the ledger stores it, 64 hexadecimal
// digits. For a document in a collection it is the hash that every peer has.
// Documents are structs of texts, numbers and lists, which always have a JSON
// form.
func Digest(document any) string {
	bytes, err := json.Marshal(document)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(bytes)
	return hex.EncodeToString(sum[:])
}

func sortedOnce(list []string) []string {
	sorted := append([]string{}, list...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = string(item)
	}
	return strings.Join(texts, ", ")
}
