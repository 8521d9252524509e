package record

import (
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consortium"
	"github.com/medfed/medfed/chaincode/form"
)

// Recipient is an identity's entry in the directory of age recipients: what
// others encrypt to. The identity's name is all that it says of a person, and a
// patient's is a pseudonym. The newest entry stands; those before it stay in the
// history of its key.
type Recipient struct {
	Identity  string `json:"identity"`  // "MSP/name"
	Role      string `json:"role"`      // of the certificate it was published with
	Number    int    `json:"number"`    // from 1, one more with every change
	Recipient string `json:"recipient"` // age X25519; "" once it is retired
	ChangedAt int64  `json:"changed_at"`
	ChangedBy string `json:"changed_by"` // "MSP/name": the identity, or the officer who retired it
}

// HospitalKey is a key pair that all officers of a hospital hold together, in
// the hospital's records collection: each of them can open what is wrapped for
// the hospital. A hospital makes the next one when an officer leaves; those before
// it stay, for what was wrapped for them.
type HospitalKey struct {
	Number    int    `json:"number"`    // from 1, without gaps
	Recipient string `json:"recipient"` // age X25519
	Wrap      string `json:"wrap"`      // its private half, encrypted to the officers; base64
}

// MaxHospitalWrap is the most characters of a hospital's wrapped key: some eighty
// officers.
const MaxHospitalWrap = 12 << 10

// CheckHospitalKey refuses a hospital's key of another number than was asked for, or
// without a number, a wrap or a recipient. Its errors say nothing of what is in it.
func CheckHospitalKey(k HospitalKey, asked HospitalKeyRequest) error {
	if k.Number != asked.Number {
		return codes.Errorf("MF-PRIVATE-INVALID", "the transient key is of another number than the argument; send the two for the same key")
	}
	if k.Number < 1 || k.Number > MaxVersions {
		return hospitalKeyNumber(1)
	}
	if !form.IsBase64(k.Wrap, MaxHospitalWrap) {
		return codes.Errorf("MF-PRIVATE-INVALID", "the wrapped key is not base64 of at most %d characters; encrypt the hospital's key to its officers", MaxHospitalWrap)
	}
	return form.CheckRecipient(k.Recipient)
}

// CheckNextHospitalKey refuses a key that neither is the one of its number, nil
// for none, nor follows on one.
func CheckNextHospitalKey(k HospitalKey, same *HospitalKey, follows bool) error {
	switch {
	case same != nil && same.Recipient != k.Recipient:
		return codes.Errorf("MF-HOSPITAL-KEY-EXISTS", "the hospital has another key %d; share that one, or make the next", k.Number)
	case same == nil && k.Number > 1 && !follows:
		return hospitalKeyNumber(k.Number - 1)
	}
	return nil
}

func hospitalKeyNumber(want int) error {
	return codes.Errorf("MF-HOSPITAL-KEY-NUMBER", "hospital keys are counted from 1 without gaps; send key %d first", want)
}

// Publish enters the caller's age recipient. Caller: anyone with a role, for
// themselves alone.
func Publish(l Ledger, call consortium.Call, request PublishRequest) (Recipient, Change, error) {
	if err := call.MustBe(consortium.Roles()...); err != nil {
		return Recipient{}, Change{}, err
	}
	if err := form.CheckRecipient(request.Recipient); err != nil {
		return Recipient{}, Change{}, err
	}
	if call.Role == consortium.RolePatient {
		if err := CheckPseudonym(call.Name); err != nil {
			return Recipient{}, Change{}, err
		}
	}
	return entered(l, call, "published", Recipient{
		Identity: call.ID, Role: string(call.Role), Number: request.Number, Recipient: request.Recipient,
	})
}

// Retire ends an entry: nothing more is encrypted to it. Caller: whose it is, or
// for an officer another officer of the same organisation.
func Retire(l Ledger, call consortium.Call, request RetireRequest) (Recipient, Change, error) {
	if err := call.MustBe(consortium.Roles()...); err != nil {
		return Recipient{}, Change{}, err
	}
	own := request.Name == call.Name && request.Role == string(call.Role)
	colleague := call.Role == consortium.RoleCustodian && request.Role == string(consortium.RoleCustodian)
	if !own && !colleague {
		return Recipient{}, Change{}, codes.Errorf("MF-RECIPIENT-DENIED", "%s retires its own entry, and an officer those of other officers of %s; ask whose it is", call.ID, call.MSP)
	}
	if _, err := FindRecipient(l, call.MSP, request.Role, request.Name); err != nil {
		return Recipient{}, Change{}, err
	}
	return entered(l, call, "retired", Recipient{
		Identity: call.MSP + "/" + request.Name, Role: request.Role, Number: request.Number,
	})
}

// entered writes an entry that comes after the newest, in the caller's own
// organisation. The newest again is a success.
func entered(l Ledger, call consortium.Call, status string, entry Recipient) (Recipient, Change, error) {
	_, name, _ := strings.Cut(entry.Identity, "/")
	newest, _, err := l.Recipient(call.MSP, entry.Role, name)
	if err != nil {
		return Recipient{}, Change{}, err
	}
	event := Event{Actor: call.ID, Status: status}
	if entry.Number == newest.Number && entry.Recipient == newest.Recipient && newest.Number > 0 {
		return newest, Change{Event: event}, nil
	}
	if entry.Number != newest.Number+1 {
		return Recipient{}, Change{}, codes.Errorf("MF-RECIPIENT-NUMBER", "the newest entry is %d; send entry %d", newest.Number, newest.Number+1)
	}
	entry.ChangedAt, entry.ChangedBy = max(call.At, newest.ChangedAt), call.ID
	return entry, Change{Recipient: &entry, Event: event}, nil
}

// FindRecipient reads an entry that must be there.
func FindRecipient(l Ledger, msp, role, name string) (Recipient, error) {
	entry, found, err := l.Recipient(msp, role, name)
	if err == nil && !found {
		err = codes.Errorf("MF-RECIPIENT-UNKNOWN", "%s/%s has published no age recipient as %s; ask for it to be published", msp, name, role)
	}
	return entry, err
}

// PutHospitalKey lets an officer put a key that the hospital's officers hold
// together; see CheckHospitalKey and CheckNextHospitalKey for which. Caller: an
// officer.
func PutHospitalKey(_ Ledger, call consortium.Call, request HospitalKeyRequest) (HospitalKeyRequest, Change, error) {
	return request, Change{Event: Event{Custodian: call.MSP, Actor: call.ID}}, call.MustBe(consortium.RoleCustodian)
}
