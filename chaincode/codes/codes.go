// Package codes holds medfed's coded errors: what a refusal says, from the
// chaincode to the command line. It is a leaf: every folder may import it, and it
// imports nothing of Fabric and nothing of medfed, so that the pure rules can
// refuse with a code too.
package codes

import (
	"errors"
	"fmt"
	"strings"
)

// Code is a stable error code. It is the first word of a refused transaction's
// message, passes unchanged through endorsement and the Fabric gateway, and
// selects the exit status of the medfed CLI. A code is never renamed or reused.
type Code string

// Error is a refusal: what was wrong and what to do about it. Its text is
// "CODE: what happened; what to do".
type Error struct {
	Code   Code
	Detail string
	Err    error // the cause, nil when there is none
}

// Error gives the one-line form that travels in the endorsement response.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Unwrap gives the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes a coded error without a cause. The detail says what happened and,
// after a semicolon, what the caller can do next; it carries nothing private.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrapf makes a coded error with its causes, which stand in the format as %w.
func Wrapf(code Code, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	cause := errors.Unwrap(wrapped)
	if _, several := wrapped.(interface{ Unwrap() []error }); several {
		cause = wrapped
	}
	return &Error{Code: code, Detail: wrapped.Error(), Err: cause}
}

// Of gives the code of an error: that of the first coded error in its chain, or
// "" when there is none.
func Of(err error) Code {
	var coded *Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}

// prefix begins every code.
const prefix = "MF-"

// Parse makes a coded error again of a message that has passed through peer and
// gateway, which put words of their own before it: from its first code on. It
// returns nil when there is no code. Inside one process errors are values, and
// nothing but that border parses them.
func Parse(message string) *Error {
	start := index(message)
	if start < 0 {
		return nil
	}
	end := start + length(message[start:])
	return &Error{Code: Code(message[start:end]), Detail: strings.TrimPrefix(message[end:], ": ")}
}

// index finds where the first code begins, or returns -1.
func index(message string) int {
	for at := 0; ; {
		next := strings.Index(message[at:], prefix)
		if next < 0 {
			return -1
		}
		at += next
		startsWord := at == 0 || !isWord(message[at-1])
		if startsWord && length(message[at:]) > 0 {
			return at
		}
		at += len(prefix)
	}
}

// length is that of the code at the start of the text: "MF" and one or more
// parts of capitals and digits, each after a hyphen. It is 0 for no code.
func length(text string) int {
	end := len(prefix) - 1
	for end < len(text) && text[end] == '-' {
		part := end + 1
		for part < len(text) && isCodeByte(text[part]) {
			part++
		}
		if part == end+1 {
			break
		}
		end = part
	}
	if end < len(prefix) {
		return 0
	}
	return end
}

func isCodeByte(b byte) bool { return b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' }

func isWord(b byte) bool { return isCodeByte(b) || b >= 'a' && b <= 'z' || b == '_' }
