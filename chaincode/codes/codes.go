// Package codes holds the coded errors of the chaincode: what a refused
// transaction says. It stands on its own so that the pure rules (fl, consent)
// can refuse with a code and still import nothing of Fabric.
package codes

import (
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
}

// Error gives the one-line form that travels in the endorsement response.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Errorf makes a coded error. The detail says what happened and, after a
// semicolon, what the caller can do next; it carries nothing private.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// prefix begins every code.
const prefix = "MF-"

// CodeIn finds the first code in a message that has passed through peer and
// gateway, which wrap it in words of their own. It returns "" when there is none.
func CodeIn(message string) Code {
	start := index(message)
	if start < 0 {
		return ""
	}
	return Code(message[start : start+length(message[start:])])
}

// From gives the part of a message that starts with its first code, without the
// words others have put before it, or "" when there is no code.
func From(message string) string {
	start := index(message)
	if start < 0 {
		return ""
	}
	return message[start:]
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
