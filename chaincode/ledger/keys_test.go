package ledger

import (
	"slices"
	"strings"
	"testing"
)

// Every key that there is a function for is a row of the table, with as many parts,
// padded where the table says so; and no row is without one.
func TestKeysAreThoseOfTheTable(t *testing.T) {
	keys := []Key{
		TaskKey("t"), ProgressKey("t"), NodeKey("t", "n"), SaltKey("t", "n"), StandingKey("t", "n"), DigestKey("t", "d"),
		SpendingKey("t", "n"), DatasetKey("n", "d"), RoundKey("t", 7), UpdateKey("t", 7, "n"), CommitmentKey("t", 7, "n"),
		RevealKey("t", 7, "n"), ProposalKey("t", 7, "n"), AttestationKey("t", 7, "n"),
		RecordKey("r"), VersionKey("r", 7), RecordOfPatientKey("p", "r"), RecordOfHospitalKey("h", "r"), ErasureMembersKey("r"),
		RecipientKey("m", "role", "name"), ErasureKey("r", "m"), ConsentKey("c"), NegotiationKey("c"), RevocationKey("c"),
		OfferKey("c", 7), AgreementKey("c", 7), ConsentOfPatientKey("p", "c"), ConsentOfGranteeKey("g", "c"),
		ConsentOfRecordKey("r", "c"), AccessKey("a"),
	}
	keys = append(keys, AccessListKeys("a", "p", "r", "g", 7)...)
	var named []string
	for _, k := range keys {
		named = append(named, k.object)
		row, _, known := objectOf(k.object)
		if !known {
			t.Errorf("%s is not in the table", k)
			continue
		}
		parts := slices.Clone(k.parts)
		for i, kind := range strings.Split(row.parts, "/") {
			if strings.ContainsAny(kind, "#-") {
				parts[i] = "7"
			}
		}
		if parsed, err := ParseKey(k.object, parts); err != nil || parsed.String() != k.String() {
			t.Errorf("by the table %v is %s, %v; it is %s", parts, parsed, err, k)
		}
	}
	for _, row := range slices.Concat(taskObjects, recordObjects) {
		if !slices.Contains(named, row.name) {
			t.Errorf("there is no function for %s", row.name)
		}
	}
	if OfRecords("round") || !OfRecords("consent") || OfRecords("nothing") {
		t.Error("consents are of records, rounds and what is in no table are not")
	}
}
