package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// opening is what stands before the list. The shell's part is that of docs/fabric.md.
const opening = `# Transactions

Every transaction of %s %s, written from the contract metadata by
` + "`go run ./client/cmd/medfed/transactionlist -write`" + `. A peer gives the same metadata to a
program:

` + "```sh" + `
peer chaincode query -C "$CHANNEL_NAME" -n medfed -c '{"Args":["org.hyperledger.fabric:GetMetadata"]}'
` + "```" + `

It is a contract definition as Fabric's contract API knows it. Schemas are JSON schema,
draft 7. What that definition has no place for begins with ` + "`x-`" + `: of a transaction
` + "`x-caller`, `x-event`, `x-transient` (by field, the schema and an example of what goes by" + `
transient) and ` + "`x-at-custodian`" + ` (endorsed or answered by the custodian's peer alone); of a
number ` + "`x-unit`" + `.

## How to call

A transaction is named with its contract and takes one JSON object. Fields that are not
known, ` + "`null`" + ` and fractions are refused; what is *optional* may be left out. Numbers are
whole: shares and rates are in millionths, so that a learning rate of 0.01 is sent as
10000. A refusal begins with [a code](codes.md).

[For a Fabric developer](fabric.md) shows how ` + "`peer`" + ` and Node.js reach the network. The
examples below are one story, in which Hospital1MSP is the custodian; a test tells it to a
real ledger, call by call. They use, in bash,

` + "```sh" + `
CALL=(-C "$CHANNEL_NAME" -n medfed)
SUBMIT=("${CALL[@]}" --waitForEvent -o "$ORDERER_ADDRESS" --tls --cafile "$ORDERER_CA")
CUSTODIAN=(--peerAddresses "$PEER_ADDRESS_HOSPITAL1" --tlsRootCertFiles "$PEER_CA_HOSPITAL1")
MAJORITY=("${CUSTODIAN[@]}"
  --peerAddresses "$PEER_ADDRESS_HOSPITAL2" --tlsRootCertFiles "$PEER_CA_HOSPITAL2"
  --peerAddresses "$PEER_ADDRESS_HOSPITAL3" --tlsRootCertFiles "$PEER_CA_HOSPITAL3")
` + "```" + `

and, in JavaScript, the ` + "`network`" + ` of @hyperledger/fabric-gateway.
`

// markdown is the whole page.
func markdown(text []byte) (string, error) {
	var m metadata
	if err := json.Unmarshal(text, &m); err != nil {
		return "", fmt.Errorf("the metadata can't be read: %w", err)
	}
	delete(m.Contracts, "org.hyperledger.fabric")
	p := &page{metadata: &m, given: map[string]bool{}}
	fmt.Fprintf(&p.out, opening, m.Info.Title, m.Info.Version)
	p.index()
	for _, name := range slices.Sorted(maps.Keys(m.Contracts)) {
		fmt.Fprintf(&p.out, "\n## %s\n\n%s\n", m.Contracts[name].Info.Title, m.Contracts[name].Info.Description)
		for _, t := range m.Contracts[name].Transactions {
			if err := p.transaction(name, t); err != nil {
				return "", err
			}
		}
	}
	p.objects()
	return p.out.String(), nil
}

// page is what has been written.
type page struct {
	*metadata
	out   strings.Builder
	given map[string]bool // objects that transactions give
}

func (p *page) index() {
	p.out.WriteString("\n| transaction | | caller |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(p.Contracts)) {
		for _, t := range p.Contracts[name].Transactions {
			fmt.Fprintf(&p.out, "| [%s:%s](#%s%s) | %s | %s |\n", name, t.Name, name, strings.ToLower(t.Name), t.how(), t.Caller)
		}
	}
}

func (t transaction) how() string {
	if t.Event == nil {
		return "evaluated"
	}
	return "submitted"
}

func (p *page) transaction(contract string, t transaction) error {
	request := t.Parameters[0].Schema
	fmt.Fprintf(&p.out, "\n### %s:%s\n\n%s\n\n", contract, t.Name, t.Description)
	fmt.Fprintf(&p.out, "- %s%s by: %s.\n", strings.ToUpper(t.how()[:1]), t.how()[1:], t.Caller)
	if t.AtCustodian && t.Event != nil {
		p.out.WriteString("- Endorsed by the custodian's peer alone, for no other may see what goes by transient.\n")
	} else if t.AtCustodian {
		p.out.WriteString("- Answered by the custodian's peer alone.\n")
	}
	fmt.Fprintf(&p.out, "- Gives: %s.\n", p.give(t.Returns))
	if t.Event != nil {
		fmt.Fprintf(&p.out, "- Event: `%s` with %s.\n", t.Event.Name, p.give(t.Event.Payload))
	}
	fmt.Fprintf(&p.out, "\n%s:\n\n", request.name())
	p.table(p.fields(p.object(request), ""))
	for _, field := range slices.Sorted(maps.Keys(t.Transient)) {
		fmt.Fprintf(&p.out, "\nBy transient, in the field `%s`, %s:\n\n", field, t.Transient[field].name())
		p.table(p.fields(p.object(t.Transient[field]), ""))
	}
	return p.calls(contract, t)
}

// give notes that an object is given, with all inside, and links to it.
func (p *page) give(s *schema) string {
	p.note(s)
	return s.kind()
}

func (p *page) note(s *schema) {
	if s.Items != nil {
		p.note(s.Items)
	}
	if s.Ref == "" || p.given[s.name()] {
		return
	}
	p.given[s.name()] = true
	for _, property := range p.object(s).Properties {
		p.note(property)
	}
}

// table is the fields of a request. An object's own row only says what it is: its
// fields follow.
func (p *page) table(fields []field) {
	p.out.WriteString("| field | type | unit | bounds | meaning |\n|---|---|---|---|---|\n")
	for _, f := range fields {
		kind := f.kind()
		if f.Ref != "" {
			kind = "object"
		} else if f.Items != nil && f.Items.Ref != "" {
			kind = "list of objects"
		}
		if f.optional {
			kind += ", *optional*"
		}
		fmt.Fprintf(&p.out, "| `%s` | %s | %s | %s | %s |\n", f.path, kind, f.Unit, cell(f.bounds()), cell(f.Description))
	}
}

// objects is the tables of all that transactions give.
func (p *page) objects() {
	p.out.WriteString("\n## Objects\n\nWhat transactions give and events carry.\n")
	for _, name := range slices.Sorted(maps.Keys(p.given)) {
		object := p.Components.Schemas[name]
		fmt.Fprintf(&p.out, "\n### Object: %s\n\n%s\n\n| field | type | unit | meaning |\n|---|---|---|---|\n", name, object.Description)
		for _, property := range slices.Sorted(maps.Keys(object.Properties)) {
			s := object.Properties[property]
			kind := s.kind()
			if !slices.Contains(object.Required, property) {
				kind += ", *optional*"
			}
			meaning := cell(s.Description)
			if values := s.Enum; len(values) > 0 && len(values) < manyValues {
				meaning += " " + cell((&schema{Enum: values}).bounds()) + "."
			}
			fmt.Fprintf(&p.out, "| `%s` | %s | %s | %s |\n", property, kind, s.Unit, meaning)
		}
	}
}

// cell is a text inside a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// calls is an example with peer and one with JavaScript.
func (p *page) calls(contract string, t transaction) error {
	request := string(t.Parameters[0].Schema.Example)
	arguments, err := compact(map[string][]string{"Args": {contract + ":" + t.Name, request}})
	if err != nil {
		return err
	}
	shell, script := "peer chaincode invoke \"${SUBMIT[@]}\" \"${MAJORITY[@]}\"", "submit"
	switch {
	case t.Event == nil && t.AtCustodian:
		shell, script = "peer chaincode query \"${CALL[@]}\" \"${CUSTODIAN[@]}\"", "evaluate"
	case t.Event == nil:
		shell, script = "peer chaincode query \"${CALL[@]}\"", "evaluate"
	case t.AtCustodian:
		shell = "peer chaincode invoke \"${SUBMIT[@]}\" \"${CUSTODIAN[@]}\""
	}
	fmt.Fprintf(&p.out, "\n```sh\n%s \\\n  -c %s", shell, quoted(arguments))
	options := fmt.Sprintf("  arguments: [JSON.stringify(%s)],\n", indented(request))
	for _, field := range slices.Sorted(maps.Keys(t.Transient)) {
		private := string(t.Transient[field].Example)
		fmt.Fprintf(&p.out, " \\\n  --transient \"{\\\"%s\\\":\\\"$(printf %%s %s | base64 | tr -d '\\n')\\\"}\"", field, quoted(private))
		options += fmt.Sprintf("  transientData: { %s: JSON.stringify(%s) },\n", field, indented(private))
	}
	if t.AtCustodian {
		options += "  endorsingOrganizations: ['Hospital1MSP'],\n"
	}
	fmt.Fprintf(&p.out, "\n```\n\n```js\nawait network.getContract('medfed', '%s').%s('%s', {\n%s});\n```\n", contract, script, t.Name, options)
	return nil
}

// compact is JSON in one line, without the escapes that HTML needs.
func compact(value any) (string, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSpace(b.String()), err
}

// indented is JSON as it stands inside a call.
func indented(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "  ", "  ") != nil {
		return text
	}
	return b.String()
}

// quoted is a text as one word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
