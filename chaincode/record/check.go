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
	MaxSealed    = 12 << 10 // characters of a sealed document in base64
	MaxShortText = 256      // bytes of an identifier or media type
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

// CheckContentDigest refuses what is no [ContentDigest]. Versions of before there was one
// have none, so the contract asks for it and the audit does not.
func CheckContentDigest(digest string) error {
	if form.IsHex32(digest) {
		return nil
	}
	return codes.Errorf("MF-RECORD-DIGEST", "the content digest is not 64 lower-case hexadecimal digits; send that of salt, CID and plain file")
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

// CheckStaged refuses a sealed private part that is none, or not that of the version
// that is asked for.
func CheckStaged(sealed SealedVersion, asked VersionRequest) error {
	for _, err := range []error{CheckRecordID(sealed.Record), checkVersionNumber(sealed.Version), CheckSealed(sealed.Sealed)} {
		if err != nil {
			return err
		}
	}
	if sealed.Record != asked.Record || sealed.Version != asked.Version {
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

// CheckSealed refuses what can't be a sealed document. Its error says nothing of what
// is in it.
func CheckSealed(sealed string) error {
	if form.IsBase64(sealed, MaxSealed) {
		return nil
	}
	return codes.Errorf("MF-PRIVATE-INVALID", "the sealed document is not base64 of at most %d characters; encrypt what is private before it is sent", MaxSealed)
}

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = string(item)
	}
	return strings.Join(texts, ", ")
}
