package fhir

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Problem is one place where a resource is not what the specification asks for.
type Problem struct {
	Path string `json:"path"` // FHIRPath
	What string `json:"what"`
}

func (p Problem) String() string { return p.Path + ": " + p.What }

// listed gives the first problems in one line.
func listed(problems []Problem) string {
	const most = 3
	var texts []string
	for _, p := range problems[:min(most, len(problems))] {
		texts = append(texts, p.String())
	}
	if more := len(problems) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// Validate holds a Consent resource in JSON against the element tables of a
// release: names, cardinalities, types and formats, required bindings, reference
// targets, and the invariants ele-1, ext-1, per-1, att-1, txt-1 and txt-2, dom-2
// and R4's ppc-1 and ppc-2. It looks up no terminology, and of contained resources
// and of data types that occur in extensions alone it sees only that they are
// objects. The result is in the order of the tables, empty for a valid resource.
func Validate(resource []byte, release Release) []Problem {
	if err := checkRelease(release); err != nil {
		return []Problem{{"Consent", err.Error()}}
	}
	root, err := decode(resource)
	if err != nil {
		return []Problem{{"Consent", err.Error()}}
	}
	return validate(root, release)
}

func validate(root map[string]any, release Release) []Problem {
	v := &validator{tables: tablesOf(release)}
	v.object("Consent", "Consent", root)
	if release == R4 {
		v.invariantsR4(root)
	}
	return v.problems
}

type validator struct {
	tables   tables
	problems []Problem
}

func (v *validator) refuse(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{path, fmt.Sprintf(format, args...)})
}

// object checks an object of a type of the tables.
func (v *validator) object(path, kind string, object map[string]any) {
	known := map[string]bool{}
	choices := map[string]string{}
	for _, e := range v.tables[kind] {
		known[e.name] = true
		value, present := object[e.name]
		side, sidePresent := object["_"+e.name]
		if primitives[e.kind] != nil {
			known["_"+e.name] = true
			if sidePresent {
				v.sideOf(path+"."+e.name, e, side, value)
			}
		}
		if !present {
			if e.required && !sidePresent {
				v.refuse(path+"."+e.name, "is missing")
			}
			continue
		}
		if other := choices[e.choice]; e.choice != "" && other != "" {
			v.refuse(path+"."+e.name, "stands beside %s; a choice has one value", other)
		}
		choices[e.choice] = e.name
		v.element(path, e, value, sidePresent)
	}
	if len(object) == 0 || len(object) == 1 && object["id"] != nil && kind != "Consent" {
		v.refuse(path, "has neither a value nor children (ele-1)")
	}
	for _, name := range sortedKeys(object) {
		if !known[name] {
			v.refuse(path+"."+name, "is no element of %s", kind)
		}
	}
	v.invariants(path, kind, object)
}

// element checks the value or values of one element.
func (v *validator) element(path string, e element, value any, side bool) {
	name := path + "." + e.name
	list, isList := value.([]any)
	switch {
	case e.many && !isList:
		v.refuse(name, "is no list")
	case !e.many && isList:
		v.refuse(name, "is a list")
	case !e.many:
		v.value(name, e, value)
	case len(list) == 0:
		v.refuse(name, "is an empty list")
	default:
		for i, item := range list {
			if item == nil && side && primitives[e.kind] != nil {
				continue
			}
			v.value(fmt.Sprintf("%s[%d]", name, i), e, item)
		}
	}
}

func (v *validator) value(path string, e element, value any) {
	if check := primitives[e.kind]; check != nil {
		if !check(value) {
			v.refuse(path, "is no %s", e.kind)
			return
		}
		if text, _ := value.(string); e.codes != nil && !slices.Contains(e.codes, text) {
			v.refuse(path, "%q is none of %s", text, strings.Join(e.codes, ", "))
		}
		return
	}
	object, ok := value.(map[string]any)
	if !ok {
		v.refuse(path, "is no object")
		return
	}
	switch {
	case e.kind == "Resource":
		if kind, _ := object["resourceType"].(string); kind == "" {
			v.refuse(path, "has no resourceType")
		} else if _, nested := object["contained"]; nested {
			v.refuse(path, "contains resources itself (dom-2)")
		}
	case v.tables[e.kind] == nil:
		if len(object) == 0 {
			v.refuse(path, "is empty")
		}
	default:
		v.object(path, e.kind, object)
		v.target(path, e, object)
	}
}

// sideOf checks the property _name, which holds id and extensions of a primitive
// value.
func (v *validator) sideOf(path string, e element, side, value any) {
	items, isList := side.([]any)
	if isList != e.many {
		v.refuse(path, "_%s does not match the element's cardinality", e.name)
		return
	}
	if values, ok := value.([]any); isList && ok && len(values) != len(items) {
		v.refuse(path, "_%s is not as long as %s", e.name, e.name)
	}
	if !isList {
		items = []any{side}
	}
	for _, item := range items {
		if item == nil && isList {
			continue
		}
		object, ok := item.(map[string]any)
		if !ok {
			v.refuse(path, "_%s is no object", e.name)
			continue
		}
		v.object(path, "Element", object)
	}
}

// target checks that a reference is to a resource of an allowed type, where it
// says the type.
func (v *validator) target(path string, e element, object map[string]any) {
	if e.kind != "Reference" || e.targets == nil {
		return
	}
	kind, _ := object["type"].(string)
	if text, _ := object["reference"].(string); kind == "" {
		if match := relative.FindStringSubmatch(text); match != nil {
			kind = match[1]
		}
	}
	if kind != "" && !slices.Contains(e.targets, kind) {
		v.refuse(path, "refers to a %s, not to one of %s", kind, strings.Join(e.targets, ", "))
	}
}

// relative is a reference whose text says the type of the resource.
var relative = regexp.MustCompile(`^(?:https?://.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?$`)

func (v *validator) invariants(path, kind string, object map[string]any) {
	switch kind {
	case "Extension":
		_, nested := object["extension"]
		value := slices.ContainsFunc(sortedKeys(object), func(name string) bool {
			return strings.HasPrefix(name, "value") || strings.HasPrefix(name, "_value")
		})
		if nested == value {
			v.refuse(path, "has both or neither of value and extensions (ext-1)")
		}
	case "Period":
		start, okStart := moment(object["start"], false)
		end, okEnd := moment(object["end"], true)
		if okStart && okEnd && start.After(end) {
			v.refuse(path, "ends before it starts (per-1)")
		}
	case "Attachment":
		if object["data"] != nil && object["contentType"] == nil {
			v.refuse(path, "has data without contentType (att-1)")
		}
	}
}

func (v *validator) invariantsR4(root map[string]any) {
	if root["policy"] == nil && root["policyRule"] == nil {
		v.refuse("Consent", "has neither policy nor policyRule (ppc-1)")
	}
	scope, _ := root["scope"].(map[string]any)
	codings, _ := scope["coding"].([]any)
	for _, item := range codings {
		c, _ := item.(map[string]any)
		if c["system"] == systemScope && c["code"] == codePrivacy && root["patient"] == nil {
			v.refuse("Consent", "is about privacy and has no patient (ppc-2)")
		}
	}
}

// primitives are the primitive types with their checks; the patterns are those of
// the specification.
var primitives = map[string]func(any) bool{
	"boolean":      func(value any) bool { _, ok := value.(bool); return ok },
	"integer":      numeric(`^(0|-?[1-9][0-9]{0,9})$`),
	"unsignedInt":  numeric(`^(0|[1-9][0-9]{0,9})$`),
	"positiveInt":  numeric(`^[1-9][0-9]{0,9}$`),
	"decimal":      numeric(`^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,9})?$`),
	"integer64":    textual(`^(0|[+-]?[1-9][0-9]{0,18})$`),
	"string":       textual(`^[ \r\n\t\S]+$`),
	"markdown":     textual(`^[ \r\n\t\S]+$`),
	"uri":          textual(`^\S+$`),
	"url":          textual(`^\S+$`),
	"canonical":    textual(`^\S+$`),
	"oid":          textual(`^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$`),
	"uuid":         textual(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`),
	"id":           textual(`^[A-Za-z0-9\-.]{1,64}$`),
	"code":         textual(`^[^\s]+( [^\s]+)*$`),
	"base64Binary": textual(`^(\s*[0-9a-zA-Z+/=]{4}\s*)+$`),
	"date":         dated(`^\d{4}(-\d{2}(-\d{2})?)?$`),
	"dateTime":     dated(`^\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?)?)?$`),
	"instant":      dated(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$`),
	"time":         textual(`^([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?$`),
	"xhtml":        isNarrative,
}

func textual(pattern string) func(any) bool {
	compiled := regexp.MustCompile(pattern)
	return func(value any) bool {
		text, ok := value.(string)
		return ok && compiled.MatchString(text)
	}
}

func numeric(pattern string) func(any) bool {
	compiled := regexp.MustCompile(pattern)
	return func(value any) bool {
		number, ok := value.(json.Number)
		return ok && compiled.MatchString(number.String())
	}
}

func dated(pattern string) func(any) bool {
	compiled := regexp.MustCompile(pattern)
	return func(value any) bool {
		text, ok := value.(string)
		if !ok || !compiled.MatchString(text) {
			return false
		}
		_, ok = moment(text, false)
		return ok
	}
}

// moment reads a date or time: its first instant, or its last second. Dates have
// no zone; they are read as UTC.
func moment(value any, last bool) (time.Time, bool) {
	text, ok := value.(string)
	if !ok {
		return time.Time{}, false
	}
	for _, form := range []struct {
		layout              string
		years, months, days int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {time.DateOnly, 0, 0, 1}, {time.RFC3339, 0, 0, 0}} {
		at, err := time.Parse(form.layout, text)
		if err != nil {
			continue
		}
		if last && form.layout != time.RFC3339 {
			at = at.AddDate(form.years, form.months, form.days).Add(-time.Second)
		}
		return at, true
	}
	return time.Time{}, false
}

// isNarrative reports whether a value is well-formed XHTML in one div with content
// (txt-1, txt-2) that holds nothing active.
func isNarrative(value any) bool {
	text, ok := value.(string)
	if !ok {
		return false
	}
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.Entity = xml.HTMLEntity
	depth, content := 0, false
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return depth == 0 && content
		}
		if err != nil {
			return false
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 && (content || t.Name.Local != "div" || t.Name.Space != xhtmlSpace) || slices.Contains(active, t.Name.Local) {
				return false
			}
			content = content || t.Name.Local == "img"
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			content = content || strings.TrimSpace(string(t)) != ""
		case xml.Directive, xml.ProcInst:
			return false
		}
	}
}

const xhtmlSpace = "http://www.w3.org/1999/xhtml"

// active are the elements that a narrative must not have.
var active = []string{"head", "body", "base", "link", "script", "form", "input", "iframe", "frame", "object", "embed"}
