package ledger

import "github.com/medfed/medfed/chaincode/codes"

// Code is a stable error code; see package codes, which the pure rules use
// directly.
type Code = codes.Code

// Error is a coded refusal.
type Error = codes.Error

// Errorf makes a coded error: "what happened; what to do", nothing private.
func Errorf(code Code, format string, args ...any) *Error {
	return codes.Errorf(code, format, args...)
}

// CodeIn finds the first code in a message that has passed through peer and
// gateway, or returns "".
func CodeIn(message string) Code { return codes.CodeIn(message) }
