package record

import "github.com/medfed/medfed/chaincode/form"

// Attestation is a member's word that its nodes have dropped every version of a
// record.
type Attestation struct {
	Record string `json:"record"`
	Member string `json:"member"` // MSP identifier
	By     string `json:"by"`
	At     int64  `json:"at"`
}

// ErasureMembers are the members that must attest the erasure of a record besides
// its holders: all that have a node of the private IPFS, where copies may lie. A
// repeated request may add members and takes none away.
type ErasureMembers struct {
	Record  string   `json:"record"`
	Members []string `json:"members"` // MSP identifiers, sorted
}

// With gives the members with more of them, sorted and once each.
func (m ErasureMembers) With(more []string) ErasureMembers {
	return ErasureMembers{m.Record, form.SortedOnce(append(append([]string{}, m.Members...), more...))}
}

// Erasure is how far the erasure of a record has come.
type Erasure struct {
	Record       Record        `json:"record"`
	Members      []string      `json:"members"`      // that must attest: holders and named members, sorted
	Remaining    []string      `json:"remaining"`    // private keys that still have a value, none of them private itself
	Attestations []Attestation `json:"attestations"` // sorted by member
	Missing      []string      `json:"missing"`      // members that have not attested, sorted
}

// Holders lists every member that pins a version, sorted and once each.
func Holders(versions []Version) []string {
	holders := []string{}
	for _, version := range versions {
		holders = append(holders, version.Holders...)
	}
	return form.SortedOnce(holders)
}

// MissingAttestations lists the members that have not attested, in their order.
func MissingAttestations(members []string, attestations []Attestation) []string {
	missing := []string{}
	for _, member := range members {
		attested := false
		for _, attestation := range attestations {
			attested = attested || attestation.Member == member
		}
		if !attested {
			missing = append(missing, member)
		}
	}
	return missing
}
