package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hyperledger/fabric-contract-api-go/v2/metadata"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/medfed/medfed/chaincode/contract"
)

// published is the metadata as a client reads it.
type published struct {
	Info struct {
		Title, Version string
	}
	Contracts map[string]struct {
		Info         struct{ Title, Description, Version string }
		Default      bool
		Transactions []publishedTransaction
	}
	Components struct {
		Schemas map[string]*node
	}
}

type publishedTransaction struct {
	Name, Description string
	Tag               []string
	Parameters        []struct {
		Name, Description string
		Schema            *node
	}
	Returns     *node
	Caller      string           `json:"x-caller"`
	Transient   map[string]*node `json:"x-transient"`
	AtCustodian bool             `json:"x-at-custodian"`
	Event       *struct {
		Name    string
		Payload *node
	} `json:"x-event"`
}

// node is a JSON schema as far as the metadata writes one.
type node struct {
	ID          string   `json:"$id"`
	Ref         string   `json:"$ref"`
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Enum        []string `json:"enum"`
	Pattern     string   `json:"pattern"`
	MinLength   int      `json:"minLength"`
	MaxLength   int      `json:"maxLength"`
	Minimum     *int64   `json:"minimum"`
	Maximum     *int64   `json:"maximum"`
	MinItems    int      `json:"minItems"`
	MaxItems    int      `json:"maxItems"`
	UniqueItems bool     `json:"uniqueItems"`
	Items       *node    `json:"items"`
	Properties  map[string]*node
	Required    []string
	Example     json.RawMessage
}

// object follows a reference; nil for what is no object.
func (p *published) object(n *node) *node {
	if n.Ref == "" {
		return nil
	}
	return p.Components.Schemas[strings.TrimPrefix(n.Ref, "#/components/schemas/")]
}

// metadataOf asks the chaincode for its metadata.
func metadataOf(c *clinic) ([]byte, *published) {
	c.Helper()
	text, err := c.ledger.Propose(c.auditor, "org.hyperledger.fabric:GetMetadata").On(hospital).Aside().Evaluate()
	if err != nil {
		c.Fatal(err)
	}
	all := parse[published](c, text)
	return text, &all
}

// validators are the schemas of all components, compiled by a validator that shares
// nothing with the chaincode.
type validators map[string]*jsonschema.Schema

func newValidators(c *clinic, text []byte) validators {
	c.Helper()
	var raw struct {
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		c.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	for name, schema := range raw.Components.Schemas {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		if err != nil {
			c.Fatal(err)
		}
		if err := compiler.AddResource("https://medfed.test/"+name, document); err != nil {
			c.Fatal(err)
		}
	}
	all := validators{}
	for name := range raw.Components.Schemas {
		compiled, err := compiler.Compile("https://medfed.test/" + name)
		if err != nil {
			c.Fatal(err)
		}
		all[name] = compiled
	}
	return all
}

// check validates JSON against the schema that a node refers to, alone or as a list.
func (v validators) check(n *node, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	ref, values := n.Ref, []any{value}
	if n.Type == "array" {
		list, ok := value.([]any)
		if !ok {
			return fmt.Errorf("%s is no list", text)
		}
		ref, values = n.Items.Ref, list
	}
	for _, one := range values {
		if err := v[strings.TrimPrefix(ref, "#/components/schemas/")].Validate(one); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

func TestMetadataFitsTheContractAPIsSchema(t *testing.T) {
	text, _ := metadataOf(newClinic(t))
	definition, err := jsonschema.UnmarshalJSON(bytes.NewReader(metadata.GetJSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://fabric.test/contract", definition); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://fabric.test/contract")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
	var read metadata.ContractChaincodeMetadata
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if err := read.CompileSchemas(); err != nil {
		t.Error(err)
	}
}

func TestMetadataIsTheProjectsAndNoContractIsTheDefault(t *testing.T) {
	c := newClinic(t)
	_, all := metadataOf(c)
	if all.Info.Title != contract.Title || all.Info.Version != contract.Version {
		t.Errorf("%+v", all.Info)
	}
	for name, one := range all.Contracts {
		if one.Default || one.Info.Title == "" || one.Info.Description == "" || one.Info.Version != contract.Version {
			t.Errorf("%s: %+v, default %v", name, one.Info, one.Default)
		}
	}
	for _, name := range []string{"GetTask", ":GetTask", "CreateTask", "GetMetadata"} {
		c.refused("MF-TRANSACTION-UNKNOWN", c.propose(c.coordinator, name, `{"task":"pneumonia"}`))
	}
}

// Every schema has a name of its own and a description, and so has every property
// of every one; references lead somewhere.
func TestEveryPropertyIsDescribed(t *testing.T) {
	_, all := metadataOf(newClinic(t))
	for name, schema := range all.Components.Schemas {
		if schema.ID != name || !strings.HasSuffix(schema.Description, ".") || schema.Type != "object" {
			t.Errorf("%s is a %s with the $id %q and the description %q", name, schema.Type, schema.ID, schema.Description)
		}
		for property, said := range schema.Properties {
			if !strings.HasSuffix(said.Description, ".") {
				t.Errorf("the description of %s.%s is no sentence: %q", name, property, said.Description)
			}
			for _, n := range []*node{said, said.Items} {
				if n != nil && n.Ref != "" && all.Components.Schemas[n.Ref] == nil {
					t.Errorf("%s.%s is a %s, which is not described", name, property, n.Ref)
				}
			}
		}
	}
	if len(all.Components.Schemas) < 60 {
		t.Errorf("only %d schemas", len(all.Components.Schemas))
	}
	rate := all.Components.Schemas["Training"].Properties["learning_rate"]
	if *rate.Minimum != 1 || !strings.Contains(rate.Description, "10000 is 0.01") {
		t.Errorf("%+v", rate)
	}
}

// fault is a document that a schema does not allow.
type fault struct {
	name string // schema, property and bound, for instance Training.epochs minimum
	text string
}

// foreign fits no pattern and no enumeration of the metadata.
const foreign = "No slash"

// faults breaks each bound of a schema, and of the objects inside, in turn, in a
// document that it allows.
func (p *published) faults(t *testing.T, schema *node, text []byte) []fault {
	t.Helper()
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var found []fault
	note := func(name string) {
		broken, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fault{name, string(broken)})
	}
	var within func(schema *node, value map[string]any)
	within = func(schema *node, value map[string]any) {
		value["surprise"] = 1
		note(schema.ID + " additionalProperties")
		delete(value, "surprise")
		for name, property := range schema.Properties {
			given, present := value[name]
			if !present {
				continue
			}
			if slices.Contains(schema.Required, name) {
				delete(value, name)
				note(schema.ID + "." + name + " required")
			}
			for bound, broken := range property.broken(given) {
				value[name] = broken
				note(schema.ID + "." + name + " " + bound)
			}
			value[name] = given
			if inner, ok := given.(map[string]any); ok {
				within(p.object(property), inner)
			}
			if list, ok := given.([]any); ok && property.Items.Ref != "" && len(list) > 0 {
				within(p.object(property.Items), list[0].(map[string]any))
			}
		}
	}
	within(p.object(schema), root.(map[string]any))
	return found
}

// broken gives a value for each bound of a property that breaks it. The value given
// is one that breaks none.
func (n *node) broken(given any) map[string]any {
	values := map[string]any{"type": nil}
	if n.Minimum != nil {
		values["minimum"] = *n.Minimum - 1
	}
	if n.Maximum != nil {
		values["maximum"] = *n.Maximum + 1
	}
	if n.Pattern != "" {
		values["pattern"] = foreign
	}
	if n.Enum != nil {
		values["enum"] = foreign
	}
	if n.MinLength > 0 {
		values["minLength"] = strings.Repeat("a", n.MinLength-1)
	}
	if n.MaxLength > 0 {
		values["maxLength"] = strings.Repeat("a", n.MaxLength+1)
	}
	list, _ := given.([]any)
	if len(list) == 0 {
		return values
	}
	if n.MinItems > 0 {
		values["minItems"] = list[:n.MinItems-1]
	}
	if n.MaxItems > 0 {
		longer := slices.Clone(list)
		for i := len(list); i <= n.MaxItems; i++ {
			longer = append(longer, fmt.Sprintf("Z%03dMSP", i)) // sorted behind the others
		}
		values["maxItems"] = longer
	}
	if n.UniqueItems {
		values["uniqueItems"] = append(slices.Clone(list), list[len(list)-1])
	}
	if n.Items.Ref != "" {
		return values
	}
	for bound, item := range n.Items.broken(nil) {
		values["items "+bound] = append(slices.Clone(list[:len(list)-1]), item)
	}
	return values
}

// bounds lists the bounds of a schema and of the objects inside, as faults names them.
func (p *published) bounds(schema *node, into map[string]bool) {
	object := p.object(schema)
	into[object.ID+" additionalProperties"] = true
	for name, property := range object.Properties {
		var given any
		if property.Type == "array" {
			given = []any{"", ""}
		}
		for bound := range property.broken(given) {
			into[object.ID+"."+name+" "+bound] = true
		}
		if slices.Contains(object.Required, name) {
			into[object.ID+"."+name+" required"] = true
		}
		for _, n := range []*node{property, property.Items} {
			if n != nil && n.Ref != "" {
				p.bounds(n, into)
			}
		}
	}
}
