package form

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsText reports whether a text has least to most bytes, all of them printable.
func IsText(text string, least, most int) bool {
	if len(text) < least || len(text) > most || !utf8.ValidString(text) {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// IsBase64 reports whether a text is 1 to most characters of standard base64 in
// its one form: padded, without line breaks.
func IsBase64(text string, most int) bool {
	if text == "" || len(text) > most {
		return false
	}
	_, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && !strings.ContainsAny(text, "\r\n")
}

// SortedOnce is the one form of a set of texts: sorted, each once.
func SortedOnce(list []string) []string {
	sorted := append([]string{}, list...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
