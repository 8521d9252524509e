package fl

import "slices"

// accepts compares a median with the task's threshold.
func accepts(terms Terms, allowance, median, previous Micro) bool {
	switch terms.ThresholdKind {
	case ThresholdAbsolute:
		return median >= terms.Threshold
	case ThresholdRelative:
		return previous != Unscored && median >= previous-allowance
	default:
		return false
	}
}

// FirstAllowance is how far below the median of the previous global model an
// update is accepted in a task's first round: a relative threshold, and 0 with
// an absolute one, which has no allowance.
func FirstAllowance(terms Terms) Micro {
	if terms.ThresholdKind != ThresholdRelative {
		return 0
	}
	return terms.Threshold
}

// NextAllowance is the allowance after a round that had the given one and whose
// tally gave these results and this median of the previous global model.
//
// A global model that is good by chance, as early ones may be, has every honest
// update far below it, and each redrawn round starts from it again. So a tally
// that compared updates and accepted none widens the allowance by the threshold,
// up to One; one that accepted any sets it back. A round without a comparison,
// for want of updates, reveals or scores, says nothing and leaves it as it is, so
// that silence neither widens it nor keeps it narrow. A threshold of 0 is never
// widened: such a task never accepts less than it has.
func NextAllowance(terms Terms, allowance Micro, results []Result, previous Micro) Micro {
	compared := previous != Unscored && slices.ContainsFunc(results, func(r Result) bool { return r.Median != Unscored })
	switch {
	case AnyAccepted(results):
		return FirstAllowance(terms)
	case compared:
		return min(allowance+FirstAllowance(terms), One)
	default:
		return allowance
	}
}
