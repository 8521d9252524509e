package fl

// Micro is a score or a rate in millionths: 875000 is 0.875. The ledger holds
// no floating-point numbers.
type Micro = int64

// One is the Micro of 1.0.
const One Micro = 1_000_000
