package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// metadata is what org.hyperledger.fabric:GetMetadata answers, as far as the page
// needs it.
type metadata struct {
	Info struct {
		Title, Description, Version string
	}
	Contracts  map[string]contracted
	Components struct {
		Schemas map[string]*schema
	}
}

type contracted struct {
	Info struct {
		Title, Description string
	}
	Transactions []transaction
}

type transaction struct {
	Name, Description string
	Tag               []string
	Parameters        []struct{ Schema *schema }
	Returns           *schema
	Caller            string             `json:"x-caller"`
	Transient         map[string]*schema `json:"x-transient"`
	AtCustodian       bool               `json:"x-at-custodian"`
	Event             *struct {
		Name    string
		Payload *schema
	} `json:"x-event"`
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        string
	Description string
	Unit        string `json:"x-unit"`
	Enum        []string
	Pattern     string
	MinLength   int
	MaxLength   int
	Minimum     *int64
	Maximum     *int64
	MinItems    int
	MaxItems    int
	UniqueItems bool
	Items       *schema
	Properties  map[string]*schema
	Required    []string
	Example     json.RawMessage
}

// name is that of the object that a schema refers to, "" where it refers to none.
func (s *schema) name() string { return s.Ref[strings.LastIndex(s.Ref, "/")+1:] }

// manyValues is from how many on values are counted, not listed.
const manyValues = 12

// bounds says in words what a value must hold to.
func (s *schema) bounds() string {
	var said []string
	add := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		add("%d to %d", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		add("from %d", *s.Minimum)
	}
	if len(s.Enum) >= manyValues {
		add("one of %d values, for instance `%s`", len(s.Enum), s.Enum[0])
	} else if len(s.Enum) > 0 {
		var values []string
		for _, value := range s.Enum {
			values = append(values, "`"+value+"`")
		}
		add("%s", strings.ReplaceAll(strings.Join(values, ", "), "``", "empty"))
	}
	if s.Pattern != "" {
		add("`%s`", s.Pattern)
	}
	if s.MaxLength > 0 {
		add("%d to %d characters", s.MinLength, s.MaxLength)
	}
	if s.MaxItems > 0 {
		add("%d to %d items", s.MinItems, s.MaxItems)
	}
	if s.UniqueItems {
		add("no two the same")
	}
	if s.Items != nil && s.Items.bounds() != "" {
		add("each %s", s.Items.bounds())
	}
	return strings.Join(said, "; ")
}

// kind says in words what type a value has; an object's is a link to its table.
func (s *schema) kind() string {
	switch {
	case s.Ref != "":
		return fmt.Sprintf("[%s](#object-%s)", s.name(), strings.ToLower(s.name()))
	case s.Type == "array":
		return "list of " + s.Items.kind()
	default:
		return s.Type
	}
}

// field is a property, or one of an object inside it by the path to it.
type field struct {
	path     string
	optional bool
	*schema
}

// fields lists the properties of an object, those of objects inside it under theirs.
func (m *metadata) fields(of *schema, path string) []field {
	var all []field
	for _, name := range slices.Sorted(maps.Keys(of.Properties)) {
		one := of.Properties[name]
		all = append(all, field{path + name, !slices.Contains(of.Required, name), one})
		switch {
		case one.Ref != "":
			all = append(all, m.fields(m.object(one), path+name+".")...)
		case one.Items != nil && one.Items.Ref != "":
			all = append(all, m.fields(m.object(one.Items), path+name+"[].")...)
		}
	}
	return all
}

// object is the schema that another refers to, which a test of the chaincode sees to
// that there is.
func (m *metadata) object(s *schema) *schema { return m.Components.Schemas[s.name()] }
