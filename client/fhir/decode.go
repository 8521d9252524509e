package fhir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// MaxResource is the largest resource that is read, in bytes, and maxDepth how
// deep it may be nested.
const (
	MaxResource = 4 << 20
	maxDepth    = 64
)

// decode reads one JSON object. Numbers stay as written; a property that stands
// twice is refused, for readers would differ on it.
func decode(text []byte) (map[string]any, error) {
	if len(text) > MaxResource {
		return nil, fmt.Errorf("is larger than %d bytes", MaxResource)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := decodeValue(decoder, 0)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("is followed by something else")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("is no JSON object")
	}
	return object, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("is no JSON: %w", err)
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(d, depth)
	case json.Delim('['):
		return decodeList(d, depth)
	default:
		return token, nil
	}
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("is no JSON: %w", err)
		}
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("is no JSON: a property has no name")
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("has the property %q twice", name)
		}
		value, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		object[name] = value
	}
	_, err := d.Token()
	return object, err
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		value, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := d.Token()
	return list, err
}

func sortedKeys(object map[string]any) []string {
	return slices.Sorted(maps.Keys(object))
}
