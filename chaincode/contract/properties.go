package contract

import (
	"fmt"
	"strings"

	"github.com/medfed/medfed/chaincode/form"
	"github.com/medfed/medfed/chaincode/ledger"
)

// object is what the metadata says of an object beside its Go type: what it is,
// and of each property a description, unit, values, pattern and bounds. Bounds are
// the constants that the rules check, and a test sends what lies outside of each.
type object struct {
	about      string
	properties map[string]schema // by JSON name
}

// objects is what is said of every object that the transactions take, give or emit.
func objects() map[string]object {
	all := taskObjects()
	for _, more := range []map[string]object{roundObjects(), recordObjects(), directoryObjects(), consentObjects(), accessObjects()} {
		for _, name := range sortedNames(more) {
			all[name] = more[name]
		}
	}
	return all
}

// Units of numbers.
const (
	inMicro       = "millionths" // 10000 is 0.01
	inBytes       = "bytes"
	inSeconds     = "seconds"
	inUnixSeconds = "seconds since 1970-01-01T00:00:00Z"
)

// said begins what is said of a property.
func said(format string, args ...any) schema {
	return schema{Description: fmt.Sprintf(format, args...)}
}

// in sets a number's unit.
func (s schema) in(unit string) schema {
	s.Unit = unit
	return s
}

// from sets the least and the most a number may be, both allowed.
func (s schema) from(least, most int64) schema {
	s.Minimum, s.Maximum = &least, &most
	return s
}

// atLeast sets the least a number may be.
func (s schema) atLeast(least int64) schema {
	s.Minimum = &least
	return s
}

// long sets how many characters a text may have.
func (s schema) long(least, most int) schema {
	s.MinLength, s.MaxLength = least, most
	return s
}

// like sets the pattern that a text has, from its beginning to its end.
func (s schema) like(pattern string) schema {
	s.Pattern = "^" + pattern + "$"
	return s
}

// orEmpty lets a text of a pattern be empty.
func (s schema) orEmpty() schema {
	s.Pattern = "^(" + strings.TrimSuffix(strings.TrimPrefix(s.Pattern, "^"), "$") + ")?$"
	return s
}

// times sets how many items a list may have.
func (s schema) times(least, most int) schema {
	s.MinItems, s.MaxItems = least, most
	return s
}

// once says that a list has no item twice.
func (s schema) once() schema {
	s.UniqueItems = true
	return s
}

// oneOf sets the values that a text may have.
func oneOf[T ~string](s schema, values ...T) schema {
	for _, value := range values {
		s.Enum = append(s.Enum, string(value))
	}
	return s
}

// Properties that many objects have.

const hex32 = `[0-9a-f]{64}`

// digest is 32 bytes in hexadecimal.
func digest(format string, args ...any) schema { return said(format, args...).like(hex32) }

func taskName() schema {
	return said("Name of the task.").like(fmt.Sprintf(`[a-z0-9-]{1,%d}`, form.MaxName))
}

func roundNumber() schema {
	return said("Number of the round: from 1, failed rounds included.").from(1, maxRound)
}

// opaque is an identifier that says nothing.
func opaque(prefix, format string, args ...any) schema {
	return said(format, args...).like(fmt.Sprintf(`%s[0-9a-f]{%d}`, prefix, form.OpaqueDigits))
}

// identity is an enrolled identity.
func identity(format string, args ...any) schema {
	return said(format+`, "MSP/name" from its certificate.`, args...).like(`[^/]+/[^/]+`)
}

func recipientKey(format string, args ...any) schema {
	return said(format, args...).like(`age1[02-9ac-hj-np-z]{58}`)
}

// contentID is a canonical CIDv1 of SHA-256, of a raw block or a UnixFS node.
func contentID(format string, args ...any) schema {
	return said(format, args...).like(`baf(kre|ybe)i[a-z2-7]{52}`)
}

func base64Text(most int, format string, args ...any) schema {
	return said(format, args...).like(`[A-Za-z0-9+/]+={0,2}`).long(1, most)
}

func moment(format string, args ...any) schema { return said(format, args...).in(inUnixSeconds) }

func pageSize() schema {
	return said("The most entries the page may have.").from(1, ledger.MaxPage)
}

func bookmark() schema {
	return said("What the page before gave; left out, or empty, for the first page.")
}

func nextBookmark() schema {
	return said("To be sent for the next page; empty on the last.")
}

// share is a number from 0 to 1, in millionths.
func share(format string, args ...any) schema { return said(format, args...).in(inMicro) }
