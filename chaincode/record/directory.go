package record

import (
	"github.com/medfed/medfed/chaincode/codes"
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

// CheckHospitalKey refuses a hospital's key without a number or a wrap. Its errors
// say nothing of what is in it.
func CheckHospitalKey(k HospitalKey) error {
	if k.Number < 1 || k.Number > MaxVersions {
		return hospitalKeyNumber(1)
	}
	if !form.IsBase64(k.Wrap, MaxHospitalWrap) {
		return codes.Errorf("MF-PRIVATE-INVALID", "the wrapped key is not base64 of at most %d characters; encrypt the hospital's key to its officers", MaxHospitalWrap)
	}
	return nil
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
