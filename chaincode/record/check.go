package record

import (
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// Limits of what a record may hold.
const (
	MaxSize      = 1 << 40 // bytes of a version's ciphertext
	MaxHolders   = 64
	MaxVersions  = 1_000_000
	MaxWrap      = 4096 // characters of a wrapped key in base64
	MaxShortText = 256  // bytes of an identifier or media type
)

// The opaque identifiers: a letter, a hyphen and random bytes in hexadecimal.
// They stand in public keys for ever, so a name that says something is refused.
const (
	RecordPrefix  = "r-"
	PatientPrefix = "p-"
)

// CheckRecordID refuses what is not "r-" and 32 hexadecimal digits.
func CheckRecordID(id string) error { return form.CheckOpaque("record", RecordPrefix, id) }

// CheckPseudonym refuses a patient's name that is not "p-" and 32 hexadecimal
// digits. A patient's name is the common name of the certificate and so stands
// in every block the patient signs: it must say nothing.
func CheckPseudonym(name string) error {
	if form.IsOpaque(PatientPrefix, name) {
		return nil
	}
	return codes.Errorf("MF-PATIENT-PSEUDONYM", "the patient's name is not %s and %d random hexadecimal digits; enrol the patient under a pseudonym", PatientPrefix, form.OpaqueDigits)
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
	if !form.IsHex32(v.Digest) {
		return codes.Errorf("MF-RECORD-DIGEST", "the digest is not 64 lower-case hexadecimal digits; send the digest of the staged private part")
	}
	if v.Size < 1 || v.Size > MaxSize {
		return codes.Errorf("MF-RECORD-SIZE", "the size %d is not from 1 to %d; send the length of the ciphertext in bytes", v.Size, int64(MaxSize))
	}
	if len(v.Holders) < 2 || len(v.Holders) > MaxHolders || !slices.Equal(v.Holders, form.SortedOnce(v.Holders)) {
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
	valid := len(members) <= MaxHolders && slices.Equal(members, form.SortedOnce(members))
	for _, member := range members {
		valid = valid && form.IsText(member, 1, MaxShortText) && !strings.Contains(member, "/")
	}
	if !valid {
		return codes.Errorf("MF-ERASURE-MEMBERS", "the members are not up to %d different MSP identifiers in sorted order; name those that have a node of the private IPFS", MaxHolders)
	}
	return nil
}

// CheckStaged refuses a private part that is not whole, or not that of the version
// that is asked for. Its errors say nothing of what is in it.
func CheckStaged(private PrivateVersion, asked VersionRequest) error {
	if err := CheckPrivateVersion(private); err != nil {
		return err
	}
	if private.Record != asked.Record || private.Version != asked.Version {
		return codes.Errorf("MF-PRIVATE-INVALID", "the transient version is of another record or number than the argument; send the two for the same version")
	}
	return nil
}

// checkVersionNumber refuses a number that no version has.
func checkVersionNumber(number int) error {
	if number < 1 || number > MaxVersions {
		return codes.Errorf("MF-VERSION-NUMBER", "the version is not from 1 to %d; versions are counted from 1", MaxVersions)
	}
	return nil
}

// CheckPrivateVersion refuses a private part that is not whole. Its errors say
// nothing of what is in it.
func CheckPrivateVersion(v PrivateVersion) error {
	if err := CheckRecordID(v.Record); err != nil {
		return err
	}
	if err := checkVersionNumber(v.Version); err != nil {
		return err
	}
	switch {
	case !form.IsHex32(v.Salt) || !form.IsHex32(v.PlainDigest):
		return codes.Errorf("MF-PRIVATE-INVALID", "salt or plain_digest is not 64 lower-case hexadecimal digits; send 32 random bytes and the SHA-256 of the plain file")
	case form.CheckCID(v.CID) != nil:
		return codes.Errorf("MF-PRIVATE-INVALID", "the CID is not a canonical CIDv1 of a file; send it in lower-case base32, as ipfs cid base32 gives it")
	case !form.IsText(v.ContentType, 1, MaxShortText) || !form.IsText(v.PatientIdentifier, 1, MaxShortText):
		return codes.Errorf("MF-PRIVATE-INVALID", "content_type or patient_identifier is not a text of 1 to %d bytes; send both", MaxShortText)
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

func isWrap(text string) bool { return form.IsBase64(text, MaxWrap) }

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = string(item)
	}
	return strings.Join(texts, ", ")
}
