package contract

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/consent"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/chaincode/record"
)

// schema is a JSON schema, draft 7, as far as the metadata needs one. In a
// component, $ref is the $id of another, which a validator resolves as a relative
// address; the contract API writes them so too.
type schema struct {
	ID          string             `json:"$id,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Unit        string             `json:"x-unit,omitempty"` // of a number; draft 7 has no word for it
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MinLength   int                `json:"minLength,omitempty"` // characters
	MaxLength   int                `json:"maxLength,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	MaxItems    int                `json:"maxItems,omitempty"`
	UniqueItems bool               `json:"uniqueItems,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Closed      *bool              `json:"additionalProperties,omitempty"` // false: strangers are refused
	Example     json.RawMessage    `json:"example,omitempty"`
}

// componentPrefix is where the metadata keeps the schemas of its objects.
const componentPrefix = "#/components/schemas/"

// schemaName is the name of an object's schema: that of its Go type, save where two
// packages have one of the same name or the name says too little by itself.
func schemaName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[fl.Terms]():
		return "TaskTerms"
	case reflect.TypeFor[fl.Attestation]():
		return "GlobalAttestation"
	case reflect.TypeFor[fl.Event]():
		return "TaskEvent"
	case reflect.TypeFor[fl.HistoryRequest]():
		return "RoundHistoryRequest"
	case reflect.TypeFor[record.Attestation]():
		return "ErasureAttestation"
	case reflect.TypeFor[consent.Terms]():
		return "ConsentTerms"
	case reflect.TypeFor[record.Event]():
		return "RecordEvent"
	case reflect.TypeFor[consent.State]():
		return "ConsentState"
	case reflect.TypeFor[consent.Page]():
		return "ConsentPage"
	}
	return t.Name()
}

// schemas makes the schemas of Go types and of all they are built of, with what
// the tables of properties say of them.
type schemas struct {
	objects map[string]object       // what is said of them, by name
	made    map[string]*schema      // by name
	types   map[string]reflect.Type // that a name was given to
	faults  []string                // see problem
	used    map[string]bool         // entries of objects, as name or name.property
}

func newSchemas(objects map[string]object) *schemas {
	return &schemas{objects: objects, made: map[string]*schema{}, types: map[string]reflect.Type{}, used: map[string]bool{}}
}

// problem notes that types and tables don't fit.
func (s *schemas) problem(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// of is the schema of a type, which is a reference for an object. Inside another
// object's schema references are relative to it.
func (s *schemas) of(t reflect.Type, inside bool) *schema {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		s.object(t)
		if inside {
			return &schema{Ref: schemaName(t)}
		}
		return &schema{Ref: componentPrefix + schemaName(t)}
	case reflect.Slice:
		return &schema{Type: "array", Items: s.of(t.Elem(), inside)}
	case reflect.String:
		return &schema{Type: "string"}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int, reflect.Int64:
		return &schema{Type: "integer", Format: "int64"}
	}
	s.problem("a schema can't be made of a %s", t)
	return &schema{}
}

// object makes the schema of a struct, once.
func (s *schemas) object(t reflect.Type) {
	name := schemaName(t)
	if other, known := s.types[name]; known {
		if other != t {
			s.problem("%s and %s are both called %s", t, other, name)
		}
		return
	}
	s.types[name] = t
	closed := false
	made := &schema{ID: name, Type: "object", Description: s.objects[name].about, Properties: map[string]*schema{}, Closed: &closed}
	if made.Description == "" {
		s.problem("%s has no description", name)
	}
	s.used[name] = true
	s.made[name] = made
	s.fields(made, name, t)
}

// fields adds the fields of a struct, those of embedded structs too, which are
// described under the name of their own type.
func (s *schemas) fields(made *schema, name string, t reflect.Type) {
	s.used[name] = true
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			s.fields(made, schemaName(field.Type), field.Type)
			continue
		}
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		said, found := s.objects[name].properties[key]
		if !found {
			s.problem("%s.%s has no description", name, key)
		}
		s.used[name+"."+key] = true
		made.Properties[key] = said.as(s.of(field.Type, true))
		if _, options, _ := strings.Cut(field.Tag.Get("metadata"), ","); options != "optional" { // as ledger.Decode reads it
			made.Required = append(made.Required, key)
		}
	}
}

// as gives what a table says of a property together with what its type says. In a
// list, what holds for texts and numbers holds for its items.
func (said schema) as(typed *schema) *schema {
	said.Ref, said.Type, said.Format = typed.Ref, typed.Type, typed.Format
	if typed.Items == nil {
		return &said
	}
	list := schema{
		Type: typed.Type, Description: said.Description,
		MinItems: said.MinItems, MaxItems: said.MaxItems, UniqueItems: said.UniqueItems,
	}
	said.Description, said.MinItems, said.MaxItems, said.UniqueItems = "", 0, 0, false
	list.Items = said.as(typed.Items)
	return &list
}

// exampleOf is a document as the example of its schema.
func exampleOf(document any) (json.RawMessage, error) {
	bytes, err := json.Marshal(document)
	if err != nil {
		return nil, codes.Wrapf("MF-INTERNAL", "an example of a %T can't be written: %w; report this", document, err)
	}
	return bytes, nil
}
