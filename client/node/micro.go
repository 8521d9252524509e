package node

import (
	"math"

	"github.com/medfed/medfed/chaincode/fl"
)

// Micro turns a share of 0 to 1 into millionths, rounded half up. What is not a
// number is 0.
func Micro(share float64) fl.Micro {
	if !(share > 0) {
		return 0
	}
	return fl.Micro(math.Floor(min(share, 1)*float64(fl.One) + 0.5))
}

// Float is the nearest floating-point number to the one that v is in millionths.
func Float(v fl.Micro) float64 { return float64(v) / float64(fl.One) }
