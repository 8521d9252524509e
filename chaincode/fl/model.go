package fl

import (
	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
)

// MaxModelSize is the most bytes of plain weights a ModelRef may name.
const MaxModelSize = 8 << 30

// CheckModel refuses a reference to weights that is not in the one form the
// ledger takes: see form.CheckCID, a digest of 64 lower-case hexadecimal digits, and
// a size.
func CheckModel(model ModelRef) error {
	if err := form.CheckCID(model.CID); err != nil {
		return err
	}
	if !form.IsHex32(model.Digest) {
		return codes.Errorf("MF-MODEL-DIGEST", "the digest is not 64 lower-case hexadecimal digits; send the SHA-256 of the plain canonical weights")
	}
	if model.Size < 1 || model.Size > MaxModelSize {
		return codes.Errorf("MF-MODEL-SIZE", "the size %d is not from 1 to %d; send the length of the plain canonical weights in bytes", model.Size, int64(MaxModelSize))
	}
	return nil
}
