package ledger

import (
	"bytes"
	"encoding/json"
	"github.com/medfed/medfed/chaincode/codes"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of an argument.
const (
	MaxArgument = 256 << 10 // bytes
	MaxDepth    = 8         // nested objects and arrays
)

// Decode reads a transaction's argument, one JSON object, into the struct that
// into points to. Unlike encoding/json it refuses what a careless or hostile
// client can send: a field the type does not know (names are case-sensitive) or
// has twice, a missing field (unless tagged `metadata:",optional"`), null, a
// number that is not a whole number in range, invalid UTF-8, bytes after the
// object, deep nesting and oversize. Types may be built of structs, slices,
// strings, booleans, integers and pointers to structs.
func Decode(argument string, into any) error {
	if len(argument) > MaxArgument {
		return codes.Errorf("MF-ARGUMENT-TOO-LARGE", "the argument has %d bytes; send at most %d", len(argument), MaxArgument)
	}
	if depth(argument) > MaxDepth {
		return codes.Errorf("MF-ARGUMENT-TOO-DEEP", "the argument nests deeper than %d; send the object the transaction describes", MaxDepth)
	}
	if !utf8.ValidString(argument) || !json.Valid([]byte(argument)) {
		return codes.Errorf("MF-ARGUMENT-MALFORMED", "the argument is not one JSON object; send what the transaction's metadata describes")
	}
	walker := walker{json.NewDecoder(strings.NewReader(argument))}
	walker.decoder.UseNumber()
	if err := walker.value(reflect.TypeOf(into).Elem(), "the argument"); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(argument)))
	if err := decoder.Decode(into); err != nil {
		return codes.Errorf("MF-ARGUMENT-TYPE", "the argument does not fit; send what the transaction's metadata describes")
	}
	return nil
}

// depth is how deep objects and arrays nest, counted without recursion.
func depth(argument string) int {
	deepest, open, quoted := 0, 0, false
	for i := 0; i < len(argument); i++ {
		switch c := argument[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			open++
			deepest = max(deepest, open)
		case c == '}' || c == ']':
			open--
		}
	}
	return deepest
}

// walker compares valid JSON with a type, token by token.
type walker struct{ decoder *json.Decoder }

// value compares the next value with a type; where names it in errors.
func (w walker) value(t reflect.Type, where string) error {
	token, err := w.decoder.Token()
	if err != nil {
		return codes.Errorf("MF-ARGUMENT-MALFORMED", "%s can't be read; send what the transaction's metadata describes", where)
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		if token == json.Delim('{') {
			return w.object(t, where)
		}
	case reflect.Slice:
		if token == json.Delim('[') {
			return w.array(t, where)
		}
	case reflect.String:
		if _, ok := token.(string); ok {
			return nil
		}
	case reflect.Bool:
		if _, ok := token.(bool); ok {
			return nil
		}
	case reflect.Int, reflect.Int64, reflect.Int32:
		if digits, ok := token.(json.Number); ok {
			if _, err := strconv.ParseInt(digits.String(), 10, t.Bits()); err == nil {
				return nil
			}
		}
	}
	return codes.Errorf("MF-ARGUMENT-TYPE", "%s is not %s; send what the transaction's metadata describes", where, describe(t))
}

// object compares the rest of an object with a struct.
func (w walker) object(t reflect.Type, where string) error {
	fields := fieldsOf(t)
	seen := make([]bool, len(fields))
	for w.decoder.More() {
		token, err := w.decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return codes.Errorf("MF-ARGUMENT-MALFORMED", "%s can't be read; send what the transaction's metadata describes", where)
		}
		i := indexOf(fields, name)
		if i < 0 {
			return codes.Errorf("MF-ARGUMENT-UNKNOWN-FIELD", "%s has a field that is not known there: %q; leave it out", where, shorten(name))
		}
		if seen[i] {
			return codes.Errorf("MF-ARGUMENT-DUPLICATE-FIELD", "%s has the field %s twice; send it once", where, name)
		}
		seen[i] = true
		if err := w.value(fields[i].kind, "the field "+name); err != nil {
			return err
		}
	}
	for i, field := range fields {
		if !seen[i] && !field.optional {
			return codes.Errorf("MF-ARGUMENT-MISSING-FIELD", "%s lacks the field %s; add it", where, field.name)
		}
	}
	return w.end(where)
}

// array compares the rest of an array with a slice.
func (w walker) array(t reflect.Type, where string) error {
	for w.decoder.More() {
		if err := w.value(t.Elem(), "an element of "+where); err != nil {
			return err
		}
	}
	return w.end(where)
}

// end takes the closing brace or bracket.
func (w walker) end(where string) error {
	if _, err := w.decoder.Token(); err != nil {
		return codes.Errorf("MF-ARGUMENT-MALFORMED", "%s can't be read; send what the transaction's metadata describes", where)
	}
	return nil
}

// field is one JSON field of a struct.
type field struct {
	name     string
	kind     reflect.Type
	optional bool
}

// fieldsOf lists the JSON fields of a struct, those of embedded structs too.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			fields = append(fields, fieldsOf(f.Type)...)
		case !f.IsExported() || name == "-":
		case name == "":
			fields = append(fields, field{f.Name, f.Type, isOptional(f)})
		default:
			fields = append(fields, field{name, f.Type, isOptional(f)})
		}
	}
	return fields
}

// isOptional reads the tag by which the contract API's schema knows it too.
func isOptional(f reflect.StructField) bool {
	_, options, _ := strings.Cut(f.Tag.Get("metadata"), ",")
	return options == "optional"
}

func indexOf(fields []field, name string) int {
	for i, field := range fields {
		if field.name == name {
			return i
		}
	}
	return -1
}

// describe names a type in the words of JSON.
func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	default:
		return "a whole number in range"
	}
}

// shorten keeps a foreign name from filling the message.
func shorten(name string) string {
	if len(name) > 40 {
		return name[:40] + "..."
	}
	return name
}
