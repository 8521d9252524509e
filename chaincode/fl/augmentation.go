package fl

import (
	"fmt"
	"strings"
)

// NoAugmentation is the text of an augmentation that changes nothing.
const NoAugmentation = "none"

// String gives the augmentation as a command takes it, its parts with commas between:
// flip,shift=2,rotate=7.5,contrast=0.2 or [NoAugmentation].
func (a Augmentation) String() string {
	var parts []string
	if a.Flip {
		parts = append(parts, "flip")
	}
	if a.Shift != 0 {
		parts = append(parts, fmt.Sprintf("shift=%d", a.Shift))
	}
	for _, part := range []struct {
		name  string
		value Micro
	}{{"rotate", a.Rotate}, {"contrast", a.Contrast}} {
		if part.value != 0 {
			parts = append(parts, part.name+"="+part.value.String())
		}
	}
	if parts == nil {
		return NoAugmentation
	}
	return strings.Join(parts, ",")
}
