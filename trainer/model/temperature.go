package model

import (
	"fmt"

	"github.com/medfed/medfed/trainer/metrics"
)

// Calibrated applies the temperature of the model to what [Predict] gives: the
// probabilities that are told to people. Without a temperature they are the same.
func (d Description) Calibrated(probabilities []float32) []float32 {
	if d.Temperature == 0 {
		return probabilities
	}
	return metrics.Tempered(probabilities, len(d.Classes), d.Temperature)
}

// checkTemperature refuses one that no calibration gives.
func (d Description) checkTemperature() error {
	if t := d.Temperature; t != 0 && !(t >= metrics.MinTemperature && t <= metrics.MaxTemperature) {
		return fmt.Errorf("%v does not lie from %v to %v; calibrate the model again", t, metrics.MinTemperature, metrics.MaxTemperature)
	}
	return nil
}
